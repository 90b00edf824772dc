"""Published ports: who gets an answer, from whom, and who must not."""

import errno
import os
import re
import socket
import subprocess
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from runtime.network.names import bridge_name
from runtime.network.netns import run_inside
from tests.lab import HOST, STRANGER, WITH_PYTHON, accept, eventually
from tests.patience import patient

pytestmark = pytest.mark.root

ME = Path("/proc/self/comm").read_text().strip()


def answering(**services):
    """Return a stack file of services that answer with their names."""
    lines = ["name: net", "services:"]
    for name, more in services.items():
        lines += [f"  {name}:{WITH_PYTHON}", '    command: "/usr/bin/python3 /answer.py 80"']
        lines += [f"    {line}" for line in more.splitlines()]
    return "\n".join(lines) + "\n"


def names(lab, ask, count):
    """Return who answered ``count`` times, without the address they saw."""
    return [ask().split()[0] for _ in range(count)]


def bring_up_web(lab):
    """Have two replicas of `web` answer at port 8080 of TCP and UDP."""
    lab.pyorch.write(
        answering(web='ports: ["8080:80", "8080:80/udp"]\nscale: 2') + "networks: {default: {}}\n"
    )
    lab.pyorch.run("up", "-d", "--wait")
    for ask in (lab.tcp, lab.udp):
        eventually(
            lambda ask=ask: {ask("host", "127.0.0.1", 8080).split()[0] for _ in range(2)},
            lambda answers: answers == {"web-1", "web-2"},
        )
    return lab


@pytest.fixture(scope="module")
def web(shared_lab):
    """One for all tests that leave it as they find it."""
    return bring_up_web(shared_lab)


@pytest.fixture
def own_web(lab):
    return bring_up_web(lab)


@pytest.mark.attribute(
    "services.*.ports.*.protocol",
    "services.*.ports.*.published",
    "services.*.ports.*.target",
    "services.*.scale",
)
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("where", "address"), [("host", "127.0.0.1"), ("host", HOST), ("stranger", HOST)]
)
def test_a_published_port_answers_and_spreads_over_replicas(web, protocol, where, address):
    ask = getattr(web, protocol)

    found = [ask(where, address, 8080).split()[0] for _ in range(6)]

    assert sorted(found) == ["web-1"] * 3 + ["web-2"] * 3


def test_a_strangers_address_is_seen_as_it_is(web):
    assert web.tcp("stranger", HOST, 8080).split()[1] == STRANGER
    assert web.udp("stranger", HOST, 8080).split()[1] == STRANGER


def test_a_container_reaches_its_own_published_port(web):
    found = [web.from_container("net", "web", HOST, 8080).split()[0] for _ in range(2)]

    assert sorted(found) == ["web-1", "web-2"], "itself among them"


def test_ipv6_refuses_at_once(web):
    def connect():
        with socket.socket(socket.AF_INET6) as channel:
            channel.settimeout(patient(5))
            return channel.connect_ex(("::1", 8080))

    assert run_inside(web.path("host"), connect) == errno.ECONNREFUSED


def test_nobody_outside_reaches_a_container_by_its_address(web):
    address = web.address("net", "net-web-1", "net_default")

    assert web.tcp("host", address, 80).startswith("web-1")
    assert web.tcp("stranger", address, 80, patience=0.5) == "silence"
    assert web.udp("stranger", address, 80, patience=0.5) == "silence"
    gateway = str(IPv4Address(int(IPv4Address(address)) & ~63) + 1)
    assert web.tcp("stranger", gateway, 8080, patience=0.5) == "silence"


@pytest.mark.attribute("services.*.ports.*.host_ip")
def test_what_is_published_on_loopback_stays_on_the_host(lab):
    lab.pyorch.write(answering(web='ports: ["127.0.0.1:8081:80", "127.0.0.1:8081:80/udp"]'))
    lab.pyorch.run("up", "-d", "--wait")
    for ask in (lab.tcp, lab.udp):
        eventually(lambda ask=ask: ask("host", "127.0.0.1", 8081), lambda a: a.startswith("web-1"))

    assert lab.tcp("stranger", HOST, 8081) == "refused"
    assert lab.udp("stranger", HOST, 8081) == "refused"
    assert lab.tcp("host", HOST, 8081) == "refused"
    # A packet to 127.0.0.1 that leaves the stranger: it must ask for that, and have no such
    # address itself.
    lab.run("stranger", "ip", "address", "del", "127.0.0.1/8", "dev", "lo")
    lab.run("stranger", "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
    lab.run("stranger", "ip", "route", "add", "127.0.0.1/32", "via", HOST, "src", STRANGER)
    assert lab.tcp("stranger", "127.0.0.1", 8081, patience=0.5) == "silence"
    assert lab.udp("stranger", "127.0.0.1", 8081, patience=0.5) == "silence"


def test_a_container_does_not_reach_the_hosts_loopback(web):
    listener = run_inside(web.path("host"), lambda: socket.create_server(("127.0.0.1", 9999)))
    with listener:
        pid = web.pyorch.main_process("net/web.1")

        def connect():
            # The way round the container's own loopback: out by the link, to the gateway.
            with socket.socket() as channel:
                channel.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
                channel.settimeout(0.5)
                channel.connect(("127.0.0.1", 9999))

        with pytest.raises(TimeoutError):
            run_inside(Path(f"/proc/{pid}/ns/net"), connect)
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.attribute("networks.*.internal")
def test_internal_networks_reach_nothing_and_are_reached_by_nobody(lab):
    lab.pyorch.write(
        answering(
            a='networks: [closed]\nports: ["8082:80"]',
            b="networks: [closed]",
            c='ports: ["8083:80"]',
        )
        + "networks: {closed: {internal: true}}\n"
    )
    lab.pyorch.run("up", "-d", "--wait")
    address = lab.address("net", "net-a-1", "net_closed")
    eventually(lambda: lab.tcp("stranger", HOST, 8083), lambda a: a.startswith("c-1"))
    eventually(lambda: lab.from_container("net", "b", "a", 80), lambda a: a.startswith("a-1"))

    # A container of an internal network has no way out. One that made itself one:
    path = Path(f"/proc/{lab.pyorch.main_process('net/a.1')}/ns/net")
    gateway = str(IPv4Address(int(IPv4Address(address)) & ~63) + 1)
    run_inside(path, lambda: _ip("route", "add", "default", "via", gateway))
    ear, mouth = (
        lab.socket("stranger", socket.SOCK_DGRAM),
        run_inside(path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    )
    with ear, mouth:
        ear.bind((STRANGER, 9000))
        ear.settimeout(0.5)
        mouth.sendto(b"out", (STRANGER, 9000))
        with pytest.raises(TimeoutError):
            ear.recv(10)
    assert lab.tcp("stranger", address, 80, patience=0.5) == "silence"
    assert not lab.tcp("stranger", HOST, 8082, patience=0.5).startswith("a-1")
    assert lab.from_container("net", "a", HOST, 8083) == ""


def test_a_service_on_an_internal_network_too_is_published_on_the_other(lab):
    lab.pyorch.write(
        answering(a='networks: [closed, open]\nports: ["8082:80", "8082:80/udp"]')
        + "networks: {closed: {internal: true}, open: {}}\n"
    )
    lab.pyorch.run("up", "-d", "--wait")

    for ask in (lab.tcp, lab.udp):
        eventually(lambda ask=ask: ask("stranger", HOST, 8082), lambda a: a.startswith("a-1"))


@pytest.mark.attribute("services.*.extra_hosts")
def test_a_container_finds_its_host_by_the_name_it_gave_it(lab):
    lab.pyorch.write(
        answering(a='extra_hosts: ["outside:host-gateway", "fixed=10.9.8.7"]\nhostname: me')
    )
    lab.pyorch.run("up", "-d", "--wait")
    address = lab.address("net", "net-a-1", "net_default")
    lines = lab.inside("net", "a", "cat", "/etc/hosts").splitlines()

    assert f"{address}\tme" in lines
    assert "10.9.8.7\tfixed" in lines
    with run_inside(lab.path("host"), lambda: socket.create_server(("", 9000))) as server:
        server.settimeout(patient(5))
        lab.from_container("net", "a", "outside", 9000)
        assert accept(server) == address


def test_no_network_and_the_hosts_own(lab):
    lab.pyorch.write(
        answering(
            none="network_mode: none",
            host='network_mode: host\nextra_hosts: ["outside:host-gateway"]',
        )
    )
    lab.pyorch.run("up", "-d", "--wait")

    eventually(lambda: lab.tcp("stranger", HOST, 80), lambda answer: answer.endswith(STRANGER))
    assert "127.0.0.1\toutside" in lab.inside("net", "host", "cat", "/etc/hosts")
    devices = lab.inside("net", "none", "cat", "/proc/net/dev").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]


def _ip(*words):
    subprocess.run(["ip", *words], check=True)


def test_containers_reach_the_outside_under_the_hosts_address(lab):
    lab.pyorch.write(answering(a=""))
    lab.pyorch.run("up", "-d", "--wait")

    with run_inside(lab.path("stranger"), lambda: socket.create_server((STRANGER, 9000))) as server:
        server.settimeout(patient(5))
        lab.from_container("net", "a", STRANGER, 9000)
        peer = accept(server)

    assert peer == HOST


@pytest.mark.attribute("services.*.healthcheck.test")
def test_only_ready_replicas_get_new_connections(lab):
    lab.pyorch.write(
        answering(
            web='ports: ["8080:80"]\nscale: 2\n'
            'healthcheck: {test: ["CMD", "sh", "-c", "[ ! -e /sick ]"], interval: 1s, retries: 1}'
        )
    )
    lab.pyorch.run("up", "-d", "--wait")

    def answers():
        return {lab.tcp("host", "127.0.0.1", 8080).split()[0] for _ in range(4)}

    eventually(answers, lambda found: found == {"web-1", "web-2"})

    lab.inside("net", "web", "touch", "/sick")
    eventually(answers, lambda found: found == {"web-2"})
    lab.inside("net", "web", "rm", "/sick")
    eventually(answers, lambda found: found == {"web-1", "web-2"})


@pytest.mark.attribute(
    "services.*.ports.*.name", "services.*.ports.*.app_protocol", "services.*.ports.*.mode"
)
def test_ranges_single_addresses_and_ports_the_host_chooses_are_known_before_the_start(lab):
    lab.pyorch.write(
        answering(
            a='ports: ["9001-9003:80-82", "80", {name: web, target: 80, published: "9030",'
            " protocol: tcp, app_protocol: http, mode: host}]\nscale: 2",
            b=f'ports: ["{HOST}:9010:80", "9020-9025:80"]',
        )
    )
    planned = lab.pyorch.try_("plan").out
    lab.pyorch.run("create")
    told = lab.pyorch.run("port", "a", "80").split()
    before = lab.pyorch.ps("net")["net-a-1"]["State"]
    lab.pyorch.run("up", "-d", "--wait")

    assert before == "created"
    assert "0.0.0.0:9001" in told
    assert all(f"publish {one}/tcp to a:80" in planned for one in told)
    listed = lab.pyorch.ps("net")["net-a-1"]["Ports"]
    assert all(f"{one}->80/tcp" in listed for one in told)
    assert lab.pyorch.ps("net")["net-a-2"]["Ports"] == listed, "replicas share what is published"
    eventually(lambda: lab.tcp("host", "127.0.0.1", 9001), lambda a: a.startswith("a-"))
    assert "0.0.0.0:9002->81/tcp" in listed
    assert "0.0.0.0:9003->82/tcp" in listed
    (chosen,) = {int(port) for port in re.findall(r":(\d+)->80/", listed)} - {9001, 9030}
    assert lab.tcp("stranger", HOST, chosen).startswith("a-")
    assert lab.tcp("stranger", HOST, 9030).startswith("a-")
    eventually(lambda: lab.tcp("stranger", HOST, 9010), lambda a: a.startswith("b-1"))
    assert lab.tcp("host", "127.0.0.1", 9010) == "refused"
    assert lab.tcp("host", "127.0.0.1", 9020).startswith("b-1")


def flow(lab):
    """Return a client of port 8080, and a way to ask through it: always the same UDP flow."""
    client = lab.socket("stranger", socket.SOCK_DGRAM)
    client.settimeout(0.5)
    client.connect((HOST, 8080))

    def ask():
        try:
            client.send(b"x")
            return client.recv(2048).decode().split()[0]
        except (TimeoutError, ConnectionRefusedError):
            return ""

    return client, ask


def test_an_udp_flow_leaves_a_replica_that_is_gone(own_web):
    clients = [flow(own_web) for _ in range(2)]
    first = [ask() for _, ask in clients]
    assert sorted(first) == ["web-1", "web-2"]
    assert [{ask() for _ in range(3)} for _, ask in clients] == [{one} for one in first]

    own_web.pyorch.run("up", "-d", "--wait", "--scale", "web=1")

    for client, ask in clients:
        eventually(ask, lambda name: name == "web-1")
        client.close()


def test_an_udp_flow_that_began_before_anybody_was_ready_finds_who_is(own_web):
    own_web.pyorch.client.post("/v1/stacks/net/stop")
    own_web.pyorch.until(
        "net", lambda state: all(r["phase"] == "exited" for r in state["replicas"])
    )
    client, ask = flow(own_web)
    eventually(ask, lambda name: name == "")

    own_web.pyorch.run("up", "-d")

    with client:
        eventually(ask, lambda name: name != "")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("bound", ["0.0.0.0", HOST])
def test_f35_a_port_in_use_is_told_with_its_holder(lab, kind, bound):
    protocol = "tcp" if kind == socket.SOCK_STREAM else "udp"
    with lab.socket("host", kind) as holder:
        holder.bind((bound, 8080))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        lab.pyorch.write(answering(a=f'ports: ["8090:80", "8080:80/{protocol}"]', b=""))

        done = lab.pyorch.try_("up", "-d", "--wait")

        assert done.code == 1
        assert f"port 8080 is in use by {ME} (pid {os.getpid()})" in done.err
        assert lab.pyorch.ps("net")["net-b-1"]["State"] == "running"
        assert lab.tcp("host", "127.0.0.1", 8090) == "refused", "all its ports, or none"
        assert f"`a` waits: port 8080 is in use by {ME}" in lab.pyorch.try_("port", "a", "80").err
    # A pass that began before the port was free may still tell of its holder.
    lab.pyorch.try_("up", "-d")
    lab.pyorch.until(
        "net",
        lambda state: (
            {one["phase"] for one in state["replicas"]} == {"running"} and state["settled"]
        ),
    )
    assert lab.pyorch.ps("net")["net-a-1"]["State"] == "running"
    eventually(lambda: lab.tcp("host", "127.0.0.1", 8090), lambda a: a.startswith("a-1"))


def test_two_stacks_that_want_one_port_are_told_of_each_other(own_web):
    other = answering(web='ports: ["127.0.0.1:8080:80"]').replace("name: net", "name: other")
    own_web.pyorch.write(other)

    done = own_web.pyorch.try_("up", "-d", "--wait")

    assert done.code == 1
    assert "port 8080 is in use by service `web` of stack `net`" in done.err


def test_the_gateway_keeps_its_hardware_address_while_replicas_come_and_go(pyorch):
    pyorch.write(
        "name: net\nservices:\n  a: {image: busybox, command: sleep 1000, stop_grace_period: 0s}\n"
    )
    place = Path("/sys/class/net", bridge_name(pyorch.settings.instance(), "net_default"))

    seen = set()
    for replicas in (1, 8, 2):
        pyorch.run("up", "-d", "--wait", "--scale", f"a={replicas}")
        seen.add((place / "address").read_text())

    assert len(seen) == 1
