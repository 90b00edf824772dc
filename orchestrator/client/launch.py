"""Start the daemon when a command needs it: once, outside the login's scope, and wait for it."""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from orchestrator.client import Client, is_root
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings

PATIENCE = 20.0
"""Seconds a daemon may take to answer."""
UNIT = "pyorchd.service"


def connect(settings: Settings) -> Client:
    """Return a client of a daemon that answers, starting one where none does."""
    client = Client(settings.socket)
    if client.is_up():
        return client
    if not is_root():
        raise PyorchError("pyorch needs root to run containers", hint="try again with sudo")
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o711)
    with (settings.data / "launch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not client.is_up():
            _start(settings)
            _wait(settings, client)
    return client


def has_systemd() -> bool:
    """Whether systemd runs this machine (sd_booted(3))."""
    return Path("/run/systemd/system").is_dir()


def _start(settings: Settings) -> None:
    environment = {
        **os.environ,
        "PYORCH_INSTANCE": settings.name,
        "PYORCH_DATA": str(settings.data),
        "PYORCH_RUN": str(settings.run),
    }
    command = [sys.executable, "-m", "orchestrator.daemon"]
    if has_systemd():
        installed = Path("/etc/systemd/system", UNIT).exists() and settings.name == "main"
        if installed:
            subprocess.run(["systemctl", "start", UNIT], check=False)
            return
        unit = f"pyorchd-{settings.name}"
        line = ["systemd-run", "--quiet", "--collect", f"--unit={unit}", "-p", "Delegate=yes"]
        line += ["-p", "KillMode=process"]
        line += [
            f"--setenv={name}={environment[name]}"
            for name in ("PYORCH_INSTANCE", "PYORCH_DATA", "PYORCH_RUN", "PYORCH_POOLS", "PATH")
            if name in environment
        ]
        if (
            shutil.which("systemd-run")
            and subprocess.run([*line, *command], check=False).returncode == 0
        ):
            return
    with settings.daemon_log.open("ab") as log:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd="/",
            start_new_session=True,
        )


def _wait(settings: Settings, client: Client) -> None:
    deadline = time.monotonic() + PATIENCE
    pause = 0.01
    while not client.is_up():
        if time.monotonic() > deadline:
            raise PyorchError(
                f"the daemon did not start within {PATIENCE:.0f} s{_last_words(settings)}",
                hint=f"see {settings.daemon_log}, or run `pyorch daemon run` to watch it",
            )
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def _last_words(settings: Settings) -> str:
    try:
        lines = settings.daemon_log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "".join(f"\n  {line[:300]}" for line in lines[-3:])
