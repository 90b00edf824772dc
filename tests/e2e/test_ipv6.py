"""IPv6: the same promises as of IPv4, on networks with `enable_ipv6`."""

import errno
import socket
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from runtime.network.netns import run_inside
from tests.lab import (
    AAAA,
    HOST,
    HOST6,
    NO_SUCH_NAME,
    STRANGER6,
    WITH_PYTHON,
    accept,
    eventually,
)
from tests.patience import patient

pytestmark = pytest.mark.root

FORWARDING = Path("/proc/sys/net/ipv6/conf/all/forwarding")
HEEDING = Path("/proc/sys/net/ipv6/conf/eth0/accept_ra")


def answering(stack, *services, networks="default: {enable_ipv6: true}"):
    """Return a stack file of services that answer with their names, each with more keys."""
    lines = [f"name: {stack}", "services:"]
    for name, more in services:
        lines += [f"  {name}:{WITH_PYTHON}", '    command: "/usr/bin/python3 /answer.py 80"']
        lines += [f"    {line}" for line in more.splitlines()]
    return "\n".join([*lines, f"networks: {{{networks}}}"]) + "\n"


def sixth(lab, stack, container, network):
    return lab.addresses(stack, container, network)[-1]


def setting(lab, path):
    return run_inside(lab.path("host"), path.read_text).strip()


@pytest.fixture(scope="module")
def six(shared_lab):
    lab = shared_lab
    lab.pyorch.write(
        answering("six", ("web", 'ports: ["8080:80", "8080:80/udp"]\nscale: 2'), ("a", ""))
    )
    done = lab.pyorch.try_("up", "-d", "--wait")
    assert (done.code, "turned on net.ipv6.conf.all.forwarding" in done.err) == (0, True)
    for ask in (lab.tcp, lab.udp):
        eventually(
            lambda ask=ask: {ask("host", HOST6, 8080).split()[0] for _ in range(2)},
            lambda answers: answers == {"web-1", "web-2"},
        )
    return lab


@pytest.mark.attribute("networks.*.enable_ipv6")
def test_a_network_has_a_unique_local_subnet_where_none_is_given(six):
    addresses = [sixth(six, "six", f"six-web-{slot}", "six_default") for slot in (1, 2)]

    assert all(ip_address(one) in ip_network("fd00::/8") for one in addresses)
    assert len({one.rpartition(":")[0] for one in addresses}) <= 2
    assert set(six.query("six/a.1", "web", AAAA).addresses) == set(addresses)
    ports = six.pyorch.ps("six")["six-web-1"]["Ports"]
    assert "0.0.0.0:8080->80/tcp" in ports
    assert "[::]:8080->80/tcp" in ports


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_published_port_answers_in_both_families(six, protocol):
    ask = getattr(six, protocol)

    assert ask("stranger", HOST6, 8080).split()[1] == STRANGER6
    for address in (HOST, HOST6):
        found = [ask("stranger", address, 8080).split()[0] for _ in range(4)]
        assert sorted(found) == ["web-1"] * 2 + ["web-2"] * 2
    assert six.from_container("six", "a", HOST6, 8080).startswith("web-")
    assert six.from_container("six", "web", HOST6, 8080).startswith("web-"), "itself among them"


def test_loopback_refuses_at_once_so_that_clients_fall_back(six):
    def connect():
        with socket.socket(socket.AF_INET6) as channel:
            channel.settimeout(patient(5))
            return channel.connect_ex(("::1", 8080))

    assert run_inside(six.path("host"), connect) == errno.ECONNREFUSED


def test_nobody_outside_reaches_a_container_by_its_address(six):
    address = sixth(six, "six", "six-web-1", "six_default")
    gateway = str(ip_network(f"{address}/64", strict=False)[1])

    assert six.tcp("host", address, 80).startswith("web-1")
    assert six.tcp("stranger", address, 80, patience=0.5) == "silence"
    assert six.udp("stranger", address, 80, patience=0.5) == "silence"
    assert six.tcp("stranger", gateway, 8080, patience=0.5) == "silence"


def test_containers_go_out_under_the_hosts_address(six):
    with run_inside(
        six.path("stranger"),
        lambda: socket.create_server((STRANGER6, 9000), family=socket.AF_INET6),
    ) as server:
        server.settimeout(patient(5))
        six.from_container("six", "a", STRANGER6, 9000)
        assert accept(server) == HOST6


def test_what_the_host_heeds_it_goes_on_heeding_and_forwarding_ends_with_the_last_network(lab):
    run_inside(lab.path("host"), lambda: HEEDING.write_text("1"))
    assert setting(lab, FORWARDING) == "0"
    lab.pyorch.write(answering("six", ("a", "")))

    lab.pyorch.run("up", "-d", "--wait")

    assert (setting(lab, FORWARDING), setting(lab, HEEDING)) == ("1", "2")
    lab.pyorch.run("down")
    assert (setting(lab, FORWARDING), setting(lab, HEEDING)) == ("0", "1")


def test_stacks_do_not_reach_each_other(lab):
    for stack in ("one", "two"):
        lab.pyorch.write(answering(stack, (stack, ""), ("too", "")))
        lab.pyorch.run("up", "-d", "--wait")
    theirs = sixth(lab, "two", "two-two-1", "two_default")
    eventually(
        lambda: lab.from_container("two", "too", theirs, 80), lambda found: found.startswith("two")
    )

    assert lab.from_container("one", "one", theirs, 80) == ""
    assert lab.query("one/one.1", "two", AAAA).code == NO_SUCH_NAME


def test_a_container_cannot_speak_under_a_foreign_address(lab):
    lab.pyorch.write(answering("liar", ("a", "")))
    lab.pyorch.run("up", "-d", "--wait")
    lab.run("host", "ip", "address", "add", "2001:db8:9::9/128", "dev", "lo", "nodad")
    lab.within("liar/a.1", "ip", "address", "add", "2001:db8:66::1/128", "dev", "eth0", "nodad")
    mine = sixth(lab, "liar", "liar-a-1", "liar_default")
    inside = Path(f"/proc/{lab.pyorch.main_process('liar/a.1')}/ns/net")

    with lab.socket("host", socket.SOCK_DGRAM, like=HOST6) as ear:
        ear.bind(("2001:db8:9::9", 7777))
        ear.settimeout(0.5)
        for address, heard in ((mine, True), ("2001:db8:66::1", False)):
            with run_inside(
                inside, lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            ) as mouth:
                mouth.bind((address, 0))
                mouth.sendto(b"x", ("2001:db8:9::9", 7777))
                if heard:
                    assert ear.recv(10) == b"x"
                else:
                    with pytest.raises(TimeoutError):
                        ear.recv(10)


def test_internal_networks_lead_nowhere(lab):
    lab.pyorch.write(
        answering(
            "shut",
            ("a", ""),
            ("b", ""),
            networks="default: {enable_ipv6: true, internal: true}",
        )
    )
    lab.pyorch.run("up", "-d", "--wait")
    address = sixth(lab, "shut", "shut-a-1", "shut_default")
    eventually(
        lambda: lab.from_container("shut", "b", address, 80), lambda found: found.startswith("a-1")
    )

    gateway = str(ip_network(f"{address}/64", strict=False)[1])
    lab.within("shut/a.1", "ip", "route", "add", "default", "via", gateway)
    inside = Path(f"/proc/{lab.pyorch.main_process('shut/a.1')}/ns/net")
    with (
        lab.socket("stranger", socket.SOCK_DGRAM, like=STRANGER6) as ear,
        run_inside(inside, lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as mouth,
    ):
        ear.bind((STRANGER6, 9000))
        ear.settimeout(0.5)
        mouth.sendto(b"out", (STRANGER6, 9000))
        with pytest.raises(TimeoutError):
            ear.recv(10)
    assert lab.tcp("stranger", address, 80, patience=0.5) == "silence"


@pytest.mark.attribute("networks.*.enable_ipv4")
def test_a_network_without_ipv4_has_names_and_ports_all_the_same(lab):
    lab.pyorch.write(
        answering(
            "only",
            ("web", 'ports: ["8080:80"]'),
            ("a", ""),
            networks="default: {enable_ipv4: false, enable_ipv6: true}",
        )
    )
    lab.pyorch.run("up", "-d", "--wait")
    (address,) = lab.addresses("only", "only-web-1", "only_default")

    assert ":" in lab.nameserver("only/a.1")
    assert lab.query("only/a.1", "web", AAAA).addresses == (address,)
    assert lab.query("only/a.1", "web").addresses == ()
    assert lab.query("only/a.1", "nobody", AAAA).code == NO_SUCH_NAME
    eventually(lambda: lab.tcp("stranger", HOST6, 8080), lambda found: found.startswith("web-1"))
    assert lab.from_container("only", "a", "web", 80).startswith("web-1")
    assert lab.tcp("stranger", HOST, 8080) == "refused"


def test_a_port_of_one_ipv6_address_is_published_there_alone(lab):
    lab.pyorch.write(
        answering("bound", ("a", f'ports: ["[{HOST6}]:8080:80"]'), ("b", 'ports: ["[::]:8081:80"]'))
    )
    lab.pyorch.run("up", "-d", "--wait")

    eventually(lambda: lab.tcp("stranger", HOST6, 8080), lambda found: found.startswith("a-1"))
    eventually(lambda: lab.tcp("stranger", HOST6, 8081), lambda found: found.startswith("b-1"))
    assert lab.tcp("stranger", HOST, 8080) == "refused"
    assert lab.tcp("stranger", HOST, 8081) == "refused"
    assert f"[{HOST6}]:8080->80/tcp" in lab.pyorch.ps("bound")["bound-a-1"]["Ports"]
