"""Which namespaces a container has: its own, the host's, or those of another container."""

import os
import signal
from pathlib import Path

import pytest

from tests.instance import Pyorch

pytestmark = pytest.mark.root

STACK = """
name: spaces
x-idle: &idle
  image: busybox
  command: sleep 1000
  stop_grace_period: 0s
services:
  plain: {<<: *idle}
  named: {<<: *idle, hostname: box, domainname: example.com}
  pid-host: {<<: *idle, pid: host, init: true, command: sh -c 'sleep 900 & exec sleep 1000'}
  ipc-host: {<<: *idle, ipc: host}
  ipc-none: {<<: *idle, ipc: none}
  uts-host: {<<: *idle, uts: host}
  cgroup-host: {<<: *idle, cgroup: host, userns_mode: host}
  net-host: {<<: *idle, network_mode: host}
  net-none: {<<: *idle, network_mode: none}
  giver:
    <<: *idle
    ipc: shareable
    shm_size: 3m
    container_name: the-giver
    networks: [front]
    restart: always
    command: sh -c 'mkdir /www; echo here > /www/index.html; exec httpd -f -p 7000 -h /www'
    sysctls: {kernel.shmmni: 44}
  taker:
    <<: *idle
    network_mode: service:giver
    ipc: service:giver
    pid: service:giver
    restart: always
  by-name: {<<: *idle, network_mode: "container:the-giver", ipc: "container:spaces-giver-1"}
networks: {front: }
"""


def host(kind):
    return os.readlink(f"/proc/self/ns/{kind}")


def test_what_says_nothing_has_everything_of_its_own(shown):
    kinds = ("pid", "ipc", "uts", "mnt", "net", "cgroup")

    assert all(shown.namespace("plain", kind) != host(kind) for kind in kinds)
    assert shown.namespace("plain", "user") == host("user")
    assert shown.run("plain", "hostname") == "plain-1"


@pytest.mark.attribute("services.*.hostname", "services.*.domainname")
def test_hostname_and_domainname_are_what_the_process_is_called(shown):
    assert shown.run("named", "hostname") == "box"
    assert shown.run("named", "cat", "/proc/sys/kernel/domainname") == "example.com"
    assert shown.run("named", "cat", "/etc/hostname") == "box"
    names = shown.run("named", "cat", "/etc/hosts").splitlines()
    assert names[0] == "127.0.0.1\tlocalhost"
    assert "ff02::1\tip6-allnodes" in names
    assert names[-1].endswith("\tbox.example.com box")
    assert shown.run("named", "hostname", "-f") == "box.example.com"
    assert shown.sh("named", "echo $HOSTNAME") == "box"


@pytest.mark.attribute("services.*.pid")
def test_pid_host_sees_the_processes_of_the_host(shown):
    assert shown.sh("plain", "cat /proc/1/comm") == "sleep"
    daemon = shown.pyorch.daemon_pid()
    seen = shown.run("pid-host", "cat", f"/proc/{daemon}/cmdline")
    assert seen == Path(f"/proc/{daemon}/cmdline").read_text()


def test_pid_host_takes_everything_it_began_along(shown):
    processes = shown.pyorch.processes("spaces/pid-host.1")
    assert len(processes) == 3

    shown.pyorch.run("-p", "spaces", "up", "-d", "--force-recreate", "--wait")

    assert [pid for pid in processes if Path(f"/proc/{pid}").exists()] == []


def test_ipc_host_has_the_shared_memory_of_the_host(shown):
    found = shown.pyorch.processes("spaces/ipc-host.1")[0]

    assert os.readlink(f"/proc/{found}/ns/ipc") == host("ipc")
    assert os.stat(f"/proc/{found}/root/dev/shm").st_dev == os.stat("/dev/shm").st_dev
    flags = [os.statvfs(path).f_flag for path in (f"/proc/{found}/root/dev/shm", "/dev/shm")]
    assert flags[0] == flags[1], "mounted as the host has it"


def test_ipc_none_has_no_shared_memory(shown):
    assert shown.namespace("ipc-none", "ipc") != host("ipc")
    with pytest.raises(AssertionError, match="nothing is mounted"):
        shown.mount("ipc-none", "/dev/shm")


@pytest.mark.attribute("services.*.uts")
def test_uts_host_is_called_as_the_host_is(shown):
    assert shown.namespace("uts-host", "uts") == host("uts")
    name = os.uname().nodename
    assert shown.sh("uts-host", "hostname; cat /etc/hostname; echo $HOSTNAME") == "\n".join(
        [name] * 3
    )


@pytest.mark.attribute("services.*.cgroup")
def test_cgroup_host_sees_its_whole_path(shown):
    path = f"/{shown.pyorch.settings.instance().cgroup}/spaces/cgroup-host.1"

    assert shown.namespace("cgroup-host", "cgroup") == host("cgroup")
    assert path in shown.run("cgroup-host", "cat", "/proc/self/cgroup")
    assert path not in shown.run("plain", "cat", "/proc/self/cgroup")


@pytest.mark.attribute("services.*.userns_mode")
def test_userns_mode_host_is_what_holds(shown):
    assert shown.namespace("cgroup-host", "user") == host("user")


@pytest.mark.attribute("services.*.network_mode")
def test_network_mode_host_has_links_names_and_name_of_the_host(shown):
    assert shown.namespace("net-host", "net") == host("net")
    assert shown.run("net-host", "hostname") == os.uname().nodename
    own = shown.run("net-host", "cat", "/etc/hosts")
    assert own.splitlines() == Path("/etc/hosts").read_text().strip().splitlines()


def test_network_mode_none_has_a_loopback_alone(shown):
    assert shown.namespace("net-none", "net") != host("net")
    assert shown.run("net-none", "ls", "/sys/class/net") == "lo"


@pytest.mark.parametrize("kind", ["net", "ipc", "pid"])
def test_network_mode_ipc_and_pid_of_a_service_are_its(shown, kind):
    assert shown.namespace("giver", kind) == _namespace(shown, "taker", kind)


@pytest.mark.parametrize("kind", ["net", "ipc"])
def test_network_mode_and_ipc_of_a_container_are_its(shown, kind):
    assert shown.namespace("giver", kind) == _namespace(shown, "by-name", kind)


def _namespace(shown, service, kind):
    pid = shown.pyorch.processes(f"{shown.name}/{service}.1")[0]
    return os.readlink(f"/proc/{pid}/ns/{kind}")


@pytest.mark.attribute("services.*.network_mode")
def test_network_mode_of_a_service_reaches_it_by_loopback_and_has_its_names(shown):
    assert shown.sh("taker", "wget -qO- http://127.0.0.1:7000/") == "here"
    for file in ("/etc/hosts", "/etc/resolv.conf"):
        assert shown.run("taker", "cat", file) == shown.run("giver", "cat", file)
    assert shown.run("taker", "hostname") == "giver-1"
    assert shown.sh("taker", "nslookup giver | busybox tail -n 2")


@pytest.mark.attribute("services.*.ipc")
def test_ipc_shareable_is_one_memory_and_its_sysctls(shown):
    shown.sh("giver", "echo shared > /dev/shm/x")

    assert shown.run("taker", "cat", "/dev/shm/x") == "shared"
    assert shown.run("by-name", "cat", "/proc/sys/kernel/shmmni") == "44"
    assert "size=3072k" in shown.mount("giver", "/dev/shm")[2]
    assert shown.sh("plain", "ls /dev/shm") == ""


@pytest.mark.attribute("services.*.pid")
def test_pid_of_a_service_sees_its_processes(shown):
    assert "httpd" in shown.run("taker", "cat", "/proc/1/cmdline")


def test_a_restart_of_the_donor_keeps_network_and_memory_and_ends_who_shares_processes(shown):
    before = {kind: shown.namespace("giver", kind) for kind in ("net", "ipc")}
    shown.sh("giver", "echo kept > /dev/shm/y")
    took = shown.pyorch.processes("spaces/taker.1")

    os.kill(shown.pid("giver"), signal.SIGKILL)
    shown.pyorch.until("spaces", lambda state: _restarted(state, "giver", "taker"))

    assert {kind: shown.namespace("giver", kind) for kind in before} == before
    assert shown.run("by-name", "cat", "/dev/shm/y") == "kept"
    assert shown.sh("by-name", "wget -qO- http://127.0.0.1:7000/") == "here"
    assert [pid for pid in took if Path(f"/proc/{pid}").exists()] == []
    assert _namespace(shown, "taker", "pid") == shown.namespace("giver", "pid")


def _restarted(state, *services):
    found = {one["service"]: one for one in state["replicas"]}
    return state["settled"] and all(
        found[name]["restarts"] and found[name]["phase"] == "running" for name in services
    )


REPLACED = """
name: pair
services:
  web:
    image: busybox
    command: sleep 1000
    ipc: shareable
    environment: {ROUND: "%s"}
    stop_grace_period: 0s
  side:
    image: busybox
    command: sleep 1000
    network_mode: service:web
    ipc: service:web
    stop_grace_period: 0s
"""


def test_who_shares_is_made_anew_with_the_container_it_shares_with(pyorch: Pyorch):
    pyorch.write(REPLACED % 1)
    pyorch.run("up", "-d", "--wait")
    before = pyorch.main_process("pair/side.1")
    assert pyorch.try_("plan").code == 0

    pyorch.write(REPLACED % 2)
    pyorch.run("up", "-d", "--wait")

    assert pyorch.main_process("pair/side.1") != before
    assert pyorch.try_("plan").code == 0
    for kind in ("net", "ipc"):
        both = {
            os.readlink(f"/proc/{pyorch.main_process(f'pair/{name}.1')}/ns/{kind}")
            for name in ("web", "side")
        }
        assert len(both) == 1


def test_who_shares_with_another_stack_waits_for_it_and_goes_first(pyorch: Pyorch):
    pyorch.write(
        "name: guest\nservices:\n  a: {image: busybox, command: sleep 1000,"
        " network_mode: 'container:pair-web-1', stop_grace_period: 0s}\n",
        "guest.yml",
    )
    refused = pyorch.try_("-f", "guest.yml", "up", "-d", "--wait")
    assert refused.code == 1
    assert "there is no container `pair-web-1`, whose network it shares" in refused.err

    pyorch.write(REPLACED % 1)
    pyorch.run("up", "-d", "--wait")
    pyorch.run("-f", "guest.yml", "up", "-d", "--wait")

    places = {
        os.readlink(f"/proc/{pyorch.main_process(name)}/ns/net")
        for name in ("pair/web.1", "guest/a.1")
    }
    assert len(places) == 1


def test_ipc_of_a_service_that_does_not_share_it_is_refused(pyorch: Pyorch):
    pyorch.write((REPLACED % 1).replace("    ipc: shareable\n", ""))

    refused = pyorch.try_("up", "-d")

    assert refused.code == 1
    assert "service `web` does not share its memory" in refused.err
    assert "write `ipc: shareable` in `web`" in refused.err
