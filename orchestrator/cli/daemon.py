"""``pyorch daemon install|uninstall|run|status|stop``."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from orchestrator.cli.render import say
from orchestrator.client import Client, DaemonUnreachableError, is_root
from orchestrator.client.launch import UNIT, has_systemd
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings

UNIT_FILE = Path("/etc/systemd/system", UNIT)
UNIT_TEXT = """\
[Unit]
Description=pyorch: keeps stacks of containers as their files say
After=network-online.target
Wants=network-online.target

[Service]
ExecStart={python} -m orchestrator.daemon
Restart=always
RestartSec=1
Delegate=yes
KillMode=process
TasksMax=infinity
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("verb", choices=["install", "uninstall", "run", "status", "stop"])


def run(args: argparse.Namespace) -> int:
    """Do what the verb says."""
    settings = Settings.from_environ()
    match args.verb:
        case "run":
            os.execv(sys.executable, [sys.executable, "-m", "orchestrator.daemon"])
        case "install":
            _install()
        case "uninstall":
            _uninstall()
        case "stop":
            _stop(settings)
        case _:
            return _status(settings)
    return 0


def _install() -> None:
    _need_systemd()
    UNIT_FILE.write_text(UNIT_TEXT.format(python=sys.executable))
    for line in (["daemon-reload"], ["enable", "--now", UNIT]):
        subprocess.run(["systemctl", *line], check=True)
    say(f"installed {UNIT_FILE}: the daemon starts at boot")


def _uninstall() -> None:
    _need_systemd()
    if UNIT_FILE.exists():
        subprocess.run(["systemctl", "disable", "--now", UNIT], check=False)
        UNIT_FILE.unlink()
        subprocess.run(["systemctl", "daemon-reload"], check=False)
    say("the daemon starts no more at boot; containers go on as they are")


def _need_systemd() -> None:
    if not is_root():
        raise PyorchError("installing the daemon needs root", hint="try again with sudo")
    if not has_systemd():
        raise PyorchError(
            "this machine is not run by systemd",
            hint="have `pyorch daemon run` started at boot by what runs it",
        )


def _stop(settings: Settings) -> None:
    client = Client(settings.socket)
    try:
        client.post("/v1/shutdown")
    except DaemonUnreachableError:
        say("no daemon runs")
        return
    deadline = time.monotonic() + 10
    while client.is_up():
        if time.monotonic() > deadline:
            raise PyorchError("the daemon does not end")
        time.sleep(0.02)
    say("the daemon has ended; containers go on as they are")


def _status(settings: Settings) -> int:
    client = Client(settings.socket)
    try:
        found = client.get("/v1/version")
    except DaemonUnreachableError:
        sys.stdout.write("not running\n")
        return 1
    sys.stdout.write(f"running: pid {found['pid']}, version {found['version']}\n")
    return 0
