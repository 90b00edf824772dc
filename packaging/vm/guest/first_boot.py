"""What is checked on the machine's first boot: install, bring up, sign, kill."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import guestbook
from guestbook import CGROUP, ENTRY, PYORCH, run
from report import Check, UnmetError, need, until

UNIT = "pyorchd.service"
STACK = Path("/opt/pyorch/examples/stacks/guestbook/stack.yml")


def doctor() -> None:
    """Doctor finds cgroup v2 and crun, and nothing missing."""
    found = run(PYORCH, "doctor")
    need("cgroups: v2" in found and "runtime: crun" in found, found)
    need("missing" not in found, found)


def install() -> None:
    """The daemon is installed, runs under systemd and is delegated its control groups."""
    run(PYORCH, "daemon", "install")
    need(run(PYORCH, "daemon", "status").startswith("running"), "it does not answer")
    need(guestbook.daemon_pid() > 0, "systemd does not know it")
    run("systemctl", "is-enabled", UNIT)
    complaints = [
        line for line in run("journalctl", "-b", "-o", "cat").splitlines() if f"/{UNIT}:" in line
    ]
    need(not complaints, "\n".join(complaints))
    settings = run("systemctl", "show", "--property=Delegate,KillMode", UNIT).split()
    need({"Delegate=yes", "KillMode=process"} <= set(settings), str(settings))


def come_up() -> None:
    """The guestbook comes up, every container of it healthy."""
    # An emulated processor takes longer for a probe than a real one is given.
    STACK.write_text(STACK.read_text().replace("timeout: 3s", "timeout: 30s"))
    environment = {**os.environ, "PYORCH_DEMO_CACHE": "/mnt/host/images"}
    done = subprocess.run(
        ["packaging/demo/up"], capture_output=True, text=True, check=False, env=environment
    )
    need(done.returncode == 0, done.stdout + done.stderr)
    need(set(guestbook.main_pids()) == set(guestbook.REPLICAS), str(guestbook.statuses()))


def answer() -> None:
    """It answers on 127.0.0.1 and on the machine's own address."""
    for host in (guestbook.LOCAL, guestbook.own_address()):
        need("Guestbook" in guestbook.read(host), f"another page on {host}")


def sign() -> None:
    """An entry is signed and read."""
    guestbook.sign(ENTRY)
    need(guestbook.shows(ENTRY), guestbook.read())


def limits() -> None:
    """Limits of memory, processors and processes are in the control groups."""
    for replica, memory, cpu in (
        ("proxy.1", 64, "max 100000"),
        ("web.1", 128, "50000 100000"),
        ("web.2", 128, "50000 100000"),
        ("redis.1", 128, "50000 100000"),
    ):
        for file, wanted in (
            ("memory.max", str(memory << 20)),
            ("cpu.max", cpu),
            ("pids.max", "4096"),
        ):
            try:
                found = (CGROUP / replica / file).read_text().strip()
            except OSError as error:
                raise UnmetError(str(error)) from None
            need(found == wanted, f"{replica} {file}: {found} instead of {wanted}")


def reload() -> None:
    """They are still there after systemd has looked at its own control groups again."""
    run("systemctl", "daemon-reload")
    run("systemctl", "set-property", "--runtime", "system.slice", "CPUWeight=200", "IOWeight=200")
    run("systemctl", "revert", "system.slice")
    limits()


def killed_redis() -> None:
    """Redis is killed: it runs again, and the entry is there."""
    before = guestbook.main_pids()
    os.kill(before["redis.1"], signal.SIGKILL)
    until(
        lambda: guestbook.main_pids().get("redis.1") not in (None, before["redis.1"]),
        within=30,
        reason=lambda: str(guestbook.statuses()),
    )
    until(lambda: guestbook.shows(ENTRY), within=30, reason=guestbook.read)
    after = guestbook.main_pids()
    others = [name for name in before if name != "redis.1" and before[name] != after.get(name)]
    need(not others, f"restarted, too: {others}")


def killed_daemon() -> None:
    """The daemon is killed: systemd starts it again, containers and requests notice nothing."""
    _without_a_trace(lambda daemon: os.kill(daemon, signal.SIGKILL))


def restarted_daemon() -> None:
    """The daemon is restarted by systemd: containers and requests notice nothing."""
    _without_a_trace(lambda daemon: run("systemctl", "restart", UNIT))


def _without_a_trace(end: Callable[[int], object]) -> None:
    before, daemon = guestbook.main_pids(), guestbook.daemon_pid()
    with guestbook.visitor() as wrong:
        end(daemon)
        until(
            lambda: guestbook.daemon_pid() not in (0, daemon),
            within=30,
            reason=lambda: "systemd starts none",
        )
        # The health of what runs is known again once it has been taken over.
        guestbook.wait_until_healthy()
    need(not wrong, f"{len(wrong)} requests failed: {wrong[:3]}")
    need(guestbook.main_pids() == before, f"{before} became {guestbook.main_pids()}")


def mark() -> None:
    """A file is written into a container, beside the volume."""
    run(PYORCH, "-p", "guestbook", "exec", "-T", "redis", "sh", "-c", "echo kept >/tmp/mark")


CHECKS: tuple[Check, ...] = (
    doctor,
    install,
    come_up,
    answer,
    sign,
    limits,
    reload,
    killed_redis,
    killed_daemon,
    restarted_daemon,
    mark,
)
