"""A pyorch of a test's own: its directories, its names on the host, its daemon."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator import systemd
from orchestrator.client import Client
from orchestrator.settings import Settings
from tests.leaks import find_leaks
from tests.patience import patient

PATIENCE = patient(30.0)
BUSYBOX = Path("/bin/busybox")
APPLETS = ("sh", "sleep", "cat", "echo", "nc", "httpd", "wget", "nslookup", "id", "ls", "mkdir")
APPLETS += (
    "true",
    "false",
    "timeout",
    "kill",
    "env",
    "seq",
    "touch",
    "hostname",
    "tty",
    "wc",
    "dd",
)


LOG_LINES = 40
"""Lines of a daemon's log that are shown of a test that failed."""

IN_USE: "list[Pyorch]" = []
"""Those whose daemon's log may say why a test failed: they are not, or only just, taken down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@dataclass(slots=True, kw_only=True)
class Pyorch:
    """Runs ``pyorch`` as a user would, in a working directory of its own."""

    name: str
    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    daemons: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    """Those of its own, which no command has started."""
    inside: tuple[str, ...] = ()
    """Words in front of every command, which take it somewhere else: ``nsenter …``."""
    over: bool = False
    """Whether it has been taken down."""

    def __post_init__(self) -> None:
        IN_USE.append(self)
        self.home.mkdir(parents=True, exist_ok=True)
        self.work.mkdir(exist_ok=True)
        self.environment = {
            **os.environ,
            "PYORCH_INSTANCE": self.name,
            "PYORCH_DATA": str(self.home / "data"),
            "PYORCH_RUN": str(self.home / "run"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "NO_COLOR": "1",
        }

    @property
    def work(self) -> Path:
        """Where commands run and stack files are written."""
        return self.home / "work"

    @property
    def settings(self) -> Settings:
        """The instance's settings, as the daemon reads them."""
        return Settings.from_environ(self.environment)

    @property
    def client(self) -> Client:
        """A client of its daemon."""
        return Client(self.settings.socket)

    def write(self, text: str, name: str = "stack.yml") -> Path:
        """Write a file into the working directory."""
        path = self.work / name
        path.write_text(text)
        return path

    def start(self, *words: str, **more: Any) -> "subprocess.Popen[str]":
        """Begin a command and return its process."""
        if self.inside and words[0] != "daemon" and not self._answers():
            # Elsewhere is not where systemd would start one.
            self.serve()
        return subprocess.Popen(
            [*self.inside, Path(sys.executable).parent / "pyorch", *words],
            cwd=self.work,
            env=self.environment,
            stdin=more.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )

    def serve(self) -> None:
        """Start a daemon that has all of the environment: systemd gives it pyorch's part only."""
        self.settings.data.mkdir(parents=True, exist_ok=True)
        line = [*self.inside, sys.executable, "-m", "orchestrator.daemon"]
        with self.settings.daemon_log.open("ab") as told:
            process = subprocess.Popen(
                line,
                cwd="/",
                env=self.environment,
                stdout=told,
                stderr=told,
                start_new_session=True,
            )
        self.daemons.append(process)
        deadline, pause = time.monotonic() + PATIENCE, threading.Event()
        while not self._answers():
            assert process.poll() is None, self.settings.daemon_log.read_text()
            assert time.monotonic() < deadline, "the daemon does not answer"
            pause.wait(0.05)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as channel:
            return channel.connect_ex(str(self.settings.socket)) == 0

    def try_(self, *words: str, stdin: str | None = None) -> Done:
        """Run a command to its end, whatever that is."""
        process = self.start(*words, stdin=subprocess.PIPE)
        out, err = process.communicate(stdin, timeout=patient(120.0))
        return Done(code=process.returncode, out=out, err=err)

    def run(self, *words: str, stdin: str | None = None) -> str:
        """Run a command that must succeed, and return what it printed."""
        done = self.try_(*words, stdin=stdin)
        assert done.code == 0, f"pyorch {' '.join(words)}: {done.code}\n{done.out}\n{done.err}"
        return done.out

    def ps(self, stack: str) -> dict[str, dict[str, Any]]:
        """Return what ``ps -a`` says, by the containers' names."""
        lines = self.run("-p", stack, "ps", "-a", "--format", "json").splitlines()
        return {one["Name"]: one for one in map(json.loads, lines)}

    def until(self, stack: str, so: Callable[[Mapping[str, Any]], object]) -> Mapping[str, Any]:
        """Return the first state of a stack for which ``so`` holds."""
        signal.signal(signal.SIGALRM, _give_up)
        process_deadline = signal.alarm(int(PATIENCE))
        try:
            for entry in self.client.stream("GET", f"/v1/stacks/{stack}/events"):
                if entry["type"] == "state" and so(entry):
                    return entry
        finally:
            signal.alarm(process_deadline)
        raise AssertionError(f"stack `{stack}` went away meanwhile")

    def processes(self, container: str) -> list[int]:
        """Return the host's ids of the processes of e.g. ``shop/web.1``."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    groups = (folder / "cgroup").read_text()
                except OSError:
                    continue
                if f"/{self.settings.instance().cgroup}/{container}\n" in groups:
                    found.append(int(folder.name))
        return sorted(found)

    def main_process(self, container: str) -> int:
        """Return the host's id of the first process of e.g. ``shop/web.1``: not a probe's."""
        for pid in self.processes(container):
            try:
                status = Path(f"/proc/{pid}/status").read_bytes()
            except FileNotFoundError:
                continue
            inside = next(line for line in status.split(b"\n") if line.startswith(b"NSpid:"))
            if inside.split()[-1] == b"1":
                return pid
        raise AssertionError(f"{container} has no main process")

    def stacks(self) -> list[str]:
        """Return the names of the stacks the daemon that runs knows."""
        return [stack["name"] for stack in self.client.get("/v1/stacks")]

    def daemon_pid(self) -> int:
        """Return the process id of the daemon that runs."""
        return int((self.settings.data / "daemon.lock").read_text())

    def clean(self) -> list[str]:
        """Take everything down; return what is left on the host, which should be nothing."""
        self.over = True
        if self.settings.socket.exists() or (self.settings.data / "state.db").exists():
            if not self.client.is_up():
                self.run("ls")
            # A stack whose network another one uses can only go after that one.
            for _ in range(2):
                for name in self.stacks():
                    self.try_("-p", name, "down", "-v", "-t", "0")
            assert self.stacks() == []
            self.run("daemon", "stop")
        for process in self.daemons:
            process.wait(PATIENCE)
        return find_leaks(self.settings.instance(), self.inside)


def daemon_logs() -> list[tuple[str, str]]:
    """Return the ends of the logs of all daemons in use, each with a title."""
    found = []
    for pyorch in IN_USE:
        log = pyorch.settings.daemon_log
        if log.exists():
            lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
            found.append((f"end of {log}", "\n".join(lines)))
        elif systemd.can_start_units():
            lines = systemd.last_words(pyorch.settings, LOG_LINES)
            found.append((f"end of what {pyorch.name}'s daemon told the journal", "\n".join(lines)))
    return found


def forget_what_is_over() -> None:
    """Leave those that have been taken down out of what later tests are told."""
    IN_USE[:] = [pyorch for pyorch in IN_USE if not pyorch.over]


def _give_up(*_: object) -> None:
    raise AssertionError(f"not so within {PATIENCE:g} s")


def new_name() -> str:
    """Return a name no other instance on this machine has."""
    return f"t{secrets.token_hex(3)}"


def make_busybox(folder: Path) -> Path:
    """Write the root filesystem of the smallest image there is, and return the tarball."""
    root = folder / "rootfs"
    for part in ("bin", "etc", "tmp"):
        (root / part).mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin" / "busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\nweb:x:7:8::/:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\nweb:x:8:\naudio:x:63:\n")
    tarball = folder / "busybox.tar"
    with tarfile.open(tarball, "w") as archive:
        archive.add(root, arcname=".")
    return tarball
