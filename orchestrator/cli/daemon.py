"""``pyorch daemon install|uninstall|run|status|stop|restart``."""

import argparse
import os
import select
import sys

from orchestrator import systemd
from orchestrator.cli.render import say
from orchestrator.client import Client, DaemonUnreachableError, is_root
from orchestrator.client.launch import connect, wait_for_unit
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings

VERBS = ("install", "uninstall", "run", "status", "stop", "restart")
PATIENCE = 10.0
"""Seconds the daemon may take to end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument(
        "--containers",
        action="store_true",
        help="with `stop` and `restart`: stop them, too, in order; the next daemon starts them",
    )


def run(args: argparse.Namespace) -> int:
    """Do what the verb says."""
    settings = Settings.from_environ()
    match args.verb:
        case "run":
            os.execv(sys.executable, [sys.executable, "-m", "orchestrator.daemon"])
        case "install":
            _install(settings)
        case "uninstall":
            _uninstall(settings)
        case "stop":
            _stop(settings, containers=args.containers)
        case "restart":
            _stop(settings, containers=args.containers)
            connect(settings)
            return _status(settings)
        case _:
            return _status(settings)
    return 0


def _install(settings: Settings) -> None:
    _need_systemd()
    client = Client(settings.socket)
    # One that was begun by hand has the lock, and the name.
    if client.is_up():
        _stop(settings)
    systemd.install(settings)
    wait_for_unit(settings, client)
    say(f"installed {systemd.unit_file(settings)}: the daemon runs, and starts at boot")


def _uninstall(settings: Settings) -> None:
    _need_systemd()
    systemd.uninstall(settings)
    say("the daemon starts no more at boot; containers go on as they are")


def _need_systemd() -> None:
    if not is_root():
        raise PyorchError("installing the daemon needs root", hint="try again with sudo")
    if not systemd.is_running():
        raise PyorchError(
            "this machine is not run by systemd",
            hint="have `pyorch daemon run` started at boot by what runs it",
        )


def _stop(settings: Settings, *, containers: bool = False) -> None:
    client = Client(settings.socket)
    try:
        # Held before it is told to end: its number may be somebody else's afterwards.
        daemon = os.pidfd_open(client.get("/v1/version")["pid"])
        client.post("/v1/shutdown", {"containers": containers})
    except (DaemonUnreachableError, ProcessLookupError):
        say("no daemon runs")
        return
    ended, _, _ = select.select([daemon], [], [], PATIENCE)
    os.close(daemon)
    if not ended:
        raise PyorchError("the daemon does not end")
    if containers:
        say("the daemon has ended, and every container; the next daemon starts them again")
    else:
        say("the daemon has ended; containers go on as they are")


def _status(settings: Settings) -> int:
    client = Client(settings.socket)
    try:
        found = client.get("/v1/version")
    except DaemonUnreachableError:
        sys.stdout.write("not running\n")
        return 1
    sys.stdout.write(f"running: pid {found['pid']}, version {found['version']}\n")
    if found.get("drained"):
        sys.stdout.write("drained: nothing runs until `pyorch drain --end`\n")
    try:
        client.get("/v1/healthz")
    except PyorchError as error:
        sys.stdout.write(f"not well: {error}\n" + (f"  {error.hint}\n" if error.hint else ""))
        return 1
    return 0
