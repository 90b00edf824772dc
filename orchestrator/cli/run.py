"""``pyorch run``."""

import argparse
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from orchestrator.cli.following import follow_until, refuse_failed, tell
from orchestrator.cli.loading import settle
from orchestrator.cli.obtaining import obtain, with_pull_policy
from orchestrator.cli.render import say
from orchestrator.cli.talking import talk, terminal_size
from orchestrator.client import Client, read_frame
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.frames import TOLD
from orchestrator.settings import Settings

EXAMPLES = """\
examples:
  pyorch run --rm web python manage.py migrate
  pyorch run --rm -it web sh
  echo 'select 1' | pyorch run --rm -T db psql -h db
  pyorch run -d -p 8080:80 --name debug web
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rm", action="store_true", help="remove the container when it has ended")
    parser.add_argument("-d", "--detach", action="store_true", help="leave it running and return")
    parser.add_argument(
        "-T", "--no-tty", "--no-TTY", action="store_true", help="no terminal, though there is one"
    )
    parser.add_argument(
        "-i", "--interactive", action="store_true", default=True, help="keep stdin open (true)"
    )
    parser.add_argument(
        "--interactive=false", "-i=false", action="store_false", dest="interactive",
        help=argparse.SUPPRESS,
    )  # fmt: skip
    parser.add_argument("-t", "--tty", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "-e", "--env", action="append", default=[], metavar="K[=V]", help="variable to set"
    )
    parser.add_argument(
        "--env-from-file", action="append", default=[], metavar="FILE", help="variables to set"
    )
    parser.add_argument("-v", "--volume", action="append", default=[], metavar="A:B", help="mount")
    parser.add_argument(
        "-p", "--publish", action="append", default=[], metavar="PORT", help="port to publish"
    )
    parser.add_argument(
        "-P", "--service-ports", action="store_true", help="publish the service's own ports"
    )
    parser.add_argument("--use-aliases", action="store_true", help="answer to the service's names")
    parser.add_argument("--entrypoint", metavar="COMMAND", help="instead of the image's")
    parser.add_argument("-u", "--user", help="name or number, and :group")
    parser.add_argument("-w", "--workdir", metavar="DIR", help="where the command begins")
    parser.add_argument("--name", help="what the container is called")
    parser.add_argument(
        "-l", "--label", action="append", default=[], metavar="K=V", help="label to set"
    )
    parser.add_argument("--cap-add", action="append", default=[], metavar="CAP")
    parser.add_argument("--cap-drop", action="append", default=[], metavar="CAP")
    parser.add_argument("--no-deps", action="store_true", help="not what it depends on")
    parser.add_argument(
        "--remove-orphans", action="store_true", help="remove runs that have ended, too"
    )
    parser.add_argument("--build", action="store_true", help="build images that are there, too")
    parser.add_argument(
        "--pull",
        choices=["always", "missing", "never", "build", "policy"],
        help="overrides the file's pull policies",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing of how it goes")
    parser.add_argument("--quiet-pull", action="store_true", help="do not show how pulls go")
    parser.add_argument("--quiet-build", action="store_true", help="do not show what builds print")
    parser.add_argument("service", metavar="SERVICE")
    parser.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND")


def run(args: argparse.Namespace) -> int:
    """Run a service once and return its exit code."""
    terminal = sys.stdin.isatty() and sys.stdout.isatty() and not (args.no_tty or args.detach)
    wanted = _wanted(args, terminal=terminal)
    settled = settle(args, (args.service,))
    client = connect(Settings.from_environ())
    args.no_build = False
    args.quiet_pull, args.quiet_build = (
        args.quiet_pull or args.quiet,
        args.quiet_build or args.quiet,
    )
    args.locked = False
    obtain(args, settled, client)
    document = _with_volumes(dict(with_pull_policy(args, settled.document)), wanted["volumes"])
    channel = client.run(settled.name, {"model": document, "run": wanted})
    return _Run(client, document, args, channel).follow(terminal=terminal)


class _Run:
    """One run from its beginning to its end."""

    def __init__(
        self,
        client: Client,
        document: dict[str, Any],
        args: argparse.Namespace,
        channel: socket.socket,
    ) -> None:
        self._client = client
        self._stack = str(document["name"])
        others = set(document["services"]) - {args.service}
        self._needs = () if args.no_deps else tuple(sorted(others))
        self._args = args
        self._channel = channel
        self._name = ""
        self._called = ""

    def follow(self, *, terminal: bool) -> int:
        """Follow it; return its exit code."""
        try:
            first = self._until_begun()
        except BaseException:
            self._let_go()
            raise
        if self._args.detach:
            sys.stdout.write(f"{self._called}\n")
            return 0
        code = talk(
            self._channel,
            terminal=terminal,
            hears=self._args.interactive,
            passes_signals=True,
            first=first,
        )
        if self._args.rm:
            self._channel.close()
            follow_until(self._client, self._stack, self._is_gone)
        return 0 if code is None else code

    def _until_begun(self) -> tuple[int, bytes] | None:
        """Say how it comes to begin; return what came of the process itself meanwhile."""
        told_before: set[str] = set()
        while True:
            found = read_frame(self._channel)
            if found is None:
                raise PyorchError("the daemon closed the connection")
            kind, data = found
            if kind != TOLD:
                return found
            entry = json.loads(data)
            if "type" not in entry:
                self._name, self._called = entry["name"], entry["container"]
                continue
            if entry["type"] == "gone":
                raise PyorchError(f"stack `{self._stack}` was removed meanwhile")
            if not self._args.quiet:
                tell(self._client, self._stack, entry, told_before)
            if entry["type"] != "state":
                continue
            if any(
                one["service"] == self._name and one["phase"] != "created"
                for one in entry["replicas"]
            ):
                return None
            refuse_failed(self._client, self._stack, entry, (self._name, *self._needs))

    def _let_go(self) -> None:
        if self._name:
            self._client.delete(f"/v1/stacks/{self._stack}/runs/{self._name}")
            say(f" {self._called} is not run")

    def _is_gone(self, state: Any) -> bool:
        return all(one["service"] != self._name for one in state["replicas"])


def _wanted(args: argparse.Namespace, *, terminal: bool) -> dict[str, Any]:
    columns, rows = terminal_size()
    words = [("publish", args.publish), ("volume", args.volume)]
    ports, volumes = (_each(option, given) for option, given in words)
    return {
        "service": args.service,
        "name": args.name or "",
        "command": args.argv,
        "entrypoint": None if args.entrypoint is None else _split(args.entrypoint),
        "environment": _variables(args),
        "labels": dict(entry.partition("=")[::2] for entry in args.label),
        "user": args.user,
        "workdir": args.workdir,
        "volumes": volumes,
        "ports": ports,
        "service_ports": args.service_ports,
        "use_aliases": args.use_aliases,
        "cap_add": args.cap_add,
        "cap_drop": args.cap_drop,
        "tty": terminal,
        "interactive": args.interactive and not args.detach,
        "no_deps": args.no_deps,
        "detach": args.detach,
        "remove": args.rm,
        "remove_orphans": args.remove_orphans,
        "columns": columns,
        "rows": rows,
    }


def _each(option: str, given: list[str]) -> list[dict[str, Any]]:
    from orchestrator.spec.values.units import parse_port, parse_volume

    found: list[dict[str, Any]] = []
    for entry in given:
        try:
            found += parse_port(entry) if option == "publish" else [parse_volume(entry)]
        except ValueError as error:
            raise PyorchError(f"--{option}: {error}", code="invalid") from None
    for mount in found if option == "volume" else ():
        if mount["type"] == "bind":
            mount["source"] = str(Path(mount["source"]).expanduser().absolute())
    return found


def _with_volumes(document: dict[str, Any], mounts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the stack with the volumes of the command line its file does not name: they are there.

    What nobody declared nobody is to make, or to remove with the stack.
    """
    declared = dict(document.get("volumes") or {})
    for mount in mounts:
        if mount["type"] == "volume" and mount.get("source"):
            declared.setdefault(mount["source"], {"name": mount["source"], "external": True})
    return {**document, "volumes": declared}


def _split(text: str) -> list[str]:
    from orchestrator.spec.values.shellwords import split

    return list(split(text)[0])


def _variables(args: argparse.Namespace) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    if args.env_from_file:
        from orchestrator.cli.loading import warn
        from orchestrator.spec.reading.env_files import read_variables

        warnings: list[str] = []
        for name in args.env_from_file:
            found |= read_variables(Path(name), os.environ, warnings.append)
        warn(warnings)
    for entry in args.env:
        name, given, value = entry.partition("=")
        found[name] = value if given else os.environ.get(name)
    return found
