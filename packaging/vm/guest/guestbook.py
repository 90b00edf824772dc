"""The guestbook and its host, as somebody with a shell on the machine sees them."""

import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlencode

from report import UnmetError, until

PYORCH = "/opt/pyorch/.venv/bin/pyorch"
LOCAL = "127.0.0.1"
CGROUP = Path("/sys/fs/cgroup/pyorch/guestbook")
REPLICAS = ("redis.1", "web.1", "web.2", "proxy.1")
ENTRY = "written before anything went wrong"


def run(*words: str) -> str:
    """Return what a command prints. Raises UnmetError with all its words where it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UnmetError(
            f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def own_address() -> str:
    """Return the machine's address on its own network."""
    found = json.loads(run("ip", "-j", "-4", "route", "get", "10.0.2.2"))
    return str(found[0]["prefsrc"])


def read(host: str = LOCAL, timeout: float = 10.0) -> str:
    """Return the guestbook's page."""
    with urllib.request.urlopen(f"http://{host}:8080/", timeout=timeout) as answer:
        return str(answer.read().decode())


def sign(entry: str) -> None:
    """Write an entry."""
    data = urlencode({"entry": entry}).encode()
    urllib.request.urlopen(f"http://{LOCAL}:8080/", data, timeout=10).close()


def shows(entry: str) -> bool:
    """Whether the guestbook answers and has the entry."""
    try:
        return f"<li>{entry}</li>" in read()
    except OSError:
        return False


def statuses() -> dict[str, str]:
    """Return what ``pyorch ps`` says of every container."""
    lines = run(PYORCH, "-p", "guestbook", "ps", "-a", "--format", "json").splitlines()
    return {one["Name"]: one["Status"] for one in map(json.loads, lines)}


def wait_until_healthy() -> None:
    """Return once every container is. Raises UnmetError when that takes too long."""

    def healthy() -> bool:
        found = statuses().values()
        return len(found) == len(REPLICAS) and all("(healthy)" in status for status in found)

    until(healthy, within=120, reason=lambda: str(statuses()))


def main_pids() -> dict[str, int]:
    """Return the id of every replica's first process."""
    found = {}
    for name in REPLICAS:
        with suppress(FileNotFoundError):
            pids = [int(line) for line in (CGROUP / name / "cgroup.procs").read_text().split()]
            first = next(filter(_is_first, pids), None)
            if first is not None:
                found[name] = first
    return found


def _is_first(pid: int) -> bool:
    """Whether a process has the number 1 in its own namespace: those of healthchecks have not."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return line.split()[-1] == "1"
    return False


def start_ticks(pid: int) -> int:
    """Return when a process began, in ticks since boot."""
    text = Path(f"/proc/{pid}/stat").read_text()
    return int(text.rpartition(")")[2].split()[19])


def daemon_pid() -> int:
    """Return the process id systemd knows the daemon by; 0 while there is none."""
    return int(run("systemctl", "show", "--property=MainPID", "--value", "pyorchd"))


@contextmanager
def visitor() -> Iterator[list[str]]:
    """Read the guestbook over and over meanwhile; the list has what went wrong."""
    wrong: list[str] = []
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            try:
                read()
            except OSError as error:
                wrong.append(repr(error))
            # Without a pause the visitor alone would keep an emulated processor busy.
            over.wait(0.2)

    thread = threading.Thread(target=visit)
    thread.start()
    try:
        yield wrong
    finally:
        over.set()
        thread.join()
