"""What a container's processes may do, as the kernel tells of them and as they find out."""

import json
from pathlib import Path

import pytest

from runtime.oci.capabilities import BY_NUMBER, DEFAULT, available

pytestmark = pytest.mark.root

STACK = """
name: confined
x-idle: &idle
  image: busybox
  command: sleep 1000
  stop_grace_period: 0s
services:
  plain: {<<: *idle}
  added: {<<: *idle, cap_add: [NET_ADMIN, CAP_MKNOD], cap_drop: [chown]}
  bare: {<<: *idle, cap_drop: [ALL]}
  picked: {<<: *idle, cap_drop: [ALL], cap_add: [KILL, net_raw]}
  almighty: {<<: *idle, cap_add: [ALL], cap_drop: [SYS_TIME]}
  boss: {<<: *idle, privileged: true}
  person: {<<: *idle, user: web, cap_add: [NET_ADMIN]}
  meek: {<<: *idle, security_opt: ['no-new-privileges:true']}
  proud: {<<: *idle, security_opt: ['no-new-privileges=false']}
  open: {<<: *idle, security_opt: ['seccomp:unconfined', 'systempaths=unconfined']}
  usual: {<<: *idle, security_opt: ['seccomp=builtin', 'label:disable', 'apparmor=unconfined']}
  strict: {<<: *idle, security_opt: ['seccomp=./no-mkdir.json']}
  frozen: {<<: *idle, read_only: true, tmpfs: [/scratch]}
  memory:
    <<: *idle
    shm_size: 8m
    tmpfs: ['/small:size=1m,mode=1750,uid=7,gid=8', '/loose:exec,suid,dev', '/fixed:ro']
  tuned:
    <<: *idle
    sysctls: {net.core.somaxconn: 77, kernel.shmmni: 55, fs.mqueue.msg_max: 12}
    ulimits: {nofile: {soft: 100, hard: 200}, core: -1, fsize: 4096}
    oom_score_adj: 300
  clerk: {<<: *idle, user: web, ulimits: {nofile: {soft: 100, hard: 200}}}
  greedy: {<<: *idle, ulimits: {nofile: 9999999999}}
"""

DENY_MKDIR = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}],
}


def prepare(pyorch):
    pyorch.write(json.dumps(DENY_MKDIR), "no-mkdir.json")


def names(bits):
    return {name for number, name in enumerate(BY_NUMBER) if int(bits, 16) >> number & 1}


@pytest.mark.attribute("services.*.cap_add", "services.*.cap_drop")
@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("plain", set(DEFAULT)),
        ("added", {*DEFAULT, "CAP_NET_ADMIN", "CAP_MKNOD"} - {"CAP_CHOWN"}),
        ("bare", set()),
        ("picked", {"CAP_KILL", "CAP_NET_RAW"}),
        ("almighty", available() - {"CAP_SYS_TIME"}),
        ("boss", available()),
    ],
)
def test_cap_add_and_cap_drop_leave_exactly_these(shown, service, expected):
    status = shown.status(service)

    assert names(status["CapBnd"]) == expected & available()
    assert names(status["CapEff"]) == names(status["CapPrm"]) == names(status["CapBnd"])
    assert names(status["CapInh"]) == names(status["CapAmb"]) == set()


def test_cap_add_of_a_user_who_is_not_root_is_only_a_ceiling(shown):
    status = shown.status("person")

    assert names(status["CapBnd"]) == {*DEFAULT, "CAP_NET_ADMIN"}
    assert names(status["CapEff"]) == names(status["CapPrm"]) == set()


@pytest.mark.attribute("services.*.security_opt")
def test_security_opt_no_new_privileges_is_off_unless_asked_for(shown):
    found = {name: shown.status(name)["NoNewPrivs"] for name in ("plain", "meek", "proud")}

    assert found == {"plain": "0", "meek": "1", "proud": "0"}


def test_security_opt_seccomp_filters_unless_unconfined(shown):
    found = {name: shown.status(name)["Seccomp"] for name in ("plain", "usual", "open", "boss")}

    assert found == {"plain": "2", "usual": "2", "open": "0", "boss": "0"}


@pytest.mark.attribute("services.*.security_opt")
def test_security_opt_seccomp_takes_the_profile_of_a_file(shown):
    assert "Permission denied" in shown.sh("strict", "mkdir /x")
    assert shown.sh("plain", "mkdir /x && echo made") == "made"


def test_security_opt_systempaths_unconfined_shows_what_is_hidden(shown):
    hidden = "cat /proc/interrupts | wc -c"
    written = "echo 1 > /proc/sys/kernel/ngroups_max"

    assert shown.sh("plain", hidden) == "0"
    assert int(shown.sh("open", hidden)) > 0
    assert "Read-only file system" in shown.sh("plain", written)
    assert "Read-only file system" not in shown.sh("open", written)
    assert shown.mount("plain", "/proc/sys")[1] >= {"ro"}
    with pytest.raises(AssertionError, match="nothing is mounted"):
        shown.mount("open", "/proc/sys")
    with pytest.raises(AssertionError, match="nothing is mounted"):
        shown.mount("boss", "/proc/interrupts")


@pytest.mark.attribute("services.*.privileged")
def test_privileged_has_the_devices_and_the_filesystems_of_the_host(shown):
    assert shown.mount("plain", "/sys")[1] >= {"ro"}
    assert "ro" not in shown.mount("boss", "/sys")[1]
    assert "ro" not in shown.mount("boss", "/sys/fs/cgroup")[1]
    nodes = set(shown.run("boss", "ls", "/dev").split())
    some = {name for name in ("fuse", "kmsg", "loop-control") if Path("/dev", name).exists()}
    assert "kmsg" in some
    assert nodes >= some
    assert not some & set(shown.run("plain", "ls", "/dev").split())
    assert shown.sh("boss", "busybox head -c 0 /dev/kmsg && echo opened") == "opened"


@pytest.mark.attribute("services.*.read_only")
def test_read_only_is_all_but_mounts_that_were_asked_for(shown):
    for path in ("/new", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"):
        assert "Read-only file system" in shown.sh("frozen", f"touch {path}")
        assert shown.sh("plain", f"touch {path} && echo written") == "written"
    assert shown.sh("frozen", "touch /scratch/x /dev/shm/x && echo written") == "written"


@pytest.mark.attribute("services.*.tmpfs")
def test_tmpfs_is_safe_and_takes_options(shown):
    kind, options, more = shown.mount("memory", "/small")

    assert kind == "tmpfs"
    assert options >= {"nosuid", "nodev", "noexec", "rw"}
    assert {"size=1024k", "mode=1750", "uid=7", "gid=8"} <= set(more.split(","))
    assert shown.mount("memory", "/loose")[1].isdisjoint({"nosuid", "nodev", "noexec"})
    assert "Read-only file system" in shown.sh("memory", "touch /fixed/x")
    assert shown.run("memory", "busybox", "stat", "-c", "%a %u:%g", "/small") == "1750 7:8"


@pytest.mark.attribute("services.*.shm_size")
def test_shm_size_bounds_the_shared_memory(shown):
    assert "size=8192k" in shown.mount("memory", "/dev/shm")[2]
    assert "size=65536k" in shown.mount("plain", "/dev/shm")[2]
    assert shown.run("plain", "busybox", "stat", "-c", "%a", "/dev/shm") == "1777"


@pytest.mark.attribute("services.*.sysctls")
@pytest.mark.parametrize(
    ("name", "value"),
    [("net/core/somaxconn", "77"), ("kernel/shmmni", "55"), ("fs/mqueue/msg_max", "12")],
)
def test_sysctls_are_the_containers_own(shown, name, value):
    assert shown.run("tuned", "cat", f"/proc/sys/{name}") == value
    assert shown.run("plain", "cat", f"/proc/sys/{name}") != value


@pytest.mark.attribute("services.*.ulimits")
def test_ulimits_hold_for_the_process_and_for_commands_beside_it(shown):
    text = Path(f"/proc/{shown.pid('tuned')}/limits").read_text()
    limits = {line[:26].strip(): line[26:].split()[:2] for line in text.splitlines()}

    assert limits["Max open files"] == ["100", "200"]
    assert limits["Max core file size"] == ["unlimited", "unlimited"]
    assert limits["Max file size"] == ["4096", "4096"]
    # An old runc raises the soft limit of files now and then, as it begins the command.
    assert "100" in {shown.sh("tuned", "ulimit -n") for _ in range(3)}


@pytest.mark.attribute("services.*.ulimits")
def test_ulimits_hold_for_a_user_who_is_not_root(shown):
    assert (shown.sh("clerk", "id -un"), shown.sh("clerk", "ulimit -Hn")) == ("web", "200")


def test_ulimits_that_are_too_high_here_are_told_once(shown):
    told = [line for line in shown.said.splitlines() if "ulimits.nofile" in line]

    assert len(told) == 1
    assert "9999999999 is asked for" in told[0]
    assert "greedy" in told[0]
    most = int(Path("/proc/sys/fs/nr_open").read_text())
    assert 0 < int(shown.sh("greedy", "ulimit -n")) <= most


@pytest.mark.attribute("services.*.oom_score_adj")
def test_oom_score_adj_is_the_processes(shown):
    found = {
        name: Path(f"/proc/{shown.pid(name)}/oom_score_adj").read_text().strip()
        for name in ("plain", "tuned")
    }

    assert found == {"plain": "0", "tuned": "300"}
