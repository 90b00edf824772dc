"""What the tests of faults do to a pyorch, and where they look."""

import json
import os
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from runtime.procfs import stat_of
from tests.instance import Pyorch
from tests.invariants import TICKING
from tests.lab import eventually

SHOP = f"""
name: shop
services:
  web:
    image: busybox
    command: httpd -f -p 80
    ports: ["127.0.0.1::80"]
    restart: always
    stop_grace_period: 0s
  ticker:{TICKING}
    restart: always
volumes: {{ticks: }}
"""
"""One that serves and one that counts: what is lost of the latter is seen."""
SHOPS = ("shop/web.1", "shop/ticker.1")


def bring_up(pyorch: Pyorch, text: str = SHOP) -> None:
    """Bring a stack up and wait until all of it runs."""
    pyorch.write(text)
    pyorch.run("up", "-d", "--wait")


def main_processes(pyorch: Pyorch, names: Iterable[str] = SHOPS) -> dict[str, int]:
    """Return the first process of each container."""
    return {name: pyorch.main_process(name) for name in names}


def kill_daemon(pyorch: Pyorch) -> None:
    """Have the daemon die at once; when this returns it is dead."""
    pid = pyorch.daemon_pid()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: is_gone(pid), bool)


def is_gone(pid: int) -> bool:
    """Whether a process has ended, whether or not somebody has collected it."""
    try:
        return stat_of(pid)[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def settle(pyorch: Pyorch, stack: str = "shop") -> None:
    """Wait until a pass has found a stack as it is wanted."""
    pyorch.until(stack, lambda state: state["reported"] and state["settled"])


def state_of(pyorch: Pyorch, container: str) -> dict[str, Any]:
    """Return what is written down of the run of e.g. ``shop.web.1``."""
    path = pyorch.settings.data / "containers" / container / "state.json"
    return dict(json.loads(path.read_text()))


def sleeper(folder: Path | None = None) -> "subprocess.Popen[bytes]":
    """Begin a process that has nothing to do with pyorch."""
    return subprocess.Popen(["sleep", "1000"], cwd=folder)


def end(process: "subprocess.Popen[Any]") -> None:
    """Kill a process of a test's own and collect it."""
    process.kill()
    process.communicate()
