"""``pyorch cp``."""

import argparse
import os
import posixpath
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import IO, Any, cast

from orchestrator.cli.loading import stack_name
from orchestrator.cli.render import say
from orchestrator.client import Client
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings

EXAMPLES = """\
examples:
  pyorch cp web:/var/log/app.log .
  pyorch cp ./seed.sql db:/tmp/
  pyorch cp web:/srv - | tar t
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("-a", "--archive", action="store_true", help="keep who owns what")
    parser.add_argument(
        "-L", "--follow-link", action="store_true", help="copy what a link leads to, not the link"
    )
    parser.add_argument(
        "--index", type=int, metavar="N", help="which replica; to all, or from the first one"
    )
    parser.add_argument("--all", action="store_true", help="to single runs of the service, too")
    parser.add_argument("source", metavar="SOURCE", help="PATH, SERVICE:PATH, or - for a tarball")
    parser.add_argument("target", metavar="TARGET", help="PATH, SERVICE:PATH, or - for a tarball")
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def run(args: argparse.Namespace) -> int:
    """Copy files into containers, or out of one."""
    source, target = _place(args.source), _place(args.target)
    if (source is None) == (target is None):
        raise PyorchError(
            "one of the two is to be in a container, and the other one here",
            hint="write `pyorch cp SERVICE:PATH PATH`, or the other way round",
        )
    name = stack_name(args)
    copy = _Copy(connect(Settings.from_environ()), name, args)
    if source is not None:
        copy.fetch(*source)
    elif target is not None:
        copy.send(*target)
    return 0


def _place(text: str) -> tuple[str, str] | None:
    """Return service and path; None for what is a path here."""
    service, mark, path = text.partition(":")
    if not mark or text.startswith(("/", ".")):
        return None
    return service, path or "/"


class _Copy:
    def __init__(self, client: Client, stack: str, args: argparse.Namespace) -> None:
        self._client = client
        self._stack = stack
        self._args = args
        self._files = f"/v1/stacks/{stack}/files"

    def fetch(self, service: str, path: str) -> None:
        """Copy what is at a path of a container."""
        target = self._args.target
        query = self._of(service, self._args.index) | {"path": path}
        follow = self._args.follow_link
        kind = self._client.get(f"{self._files}/kind", query)["kind"]
        if not kind and not follow:
            kind = "file"  # a link that leads nowhere is a file like others
        last = posixpath.basename(path.rstrip("/")) or "."
        contents = last in (".", "..")
        if target == "-":
            self._pieces(query, "." if contents else last, cast("IO[bytes]", sys.stdout.buffer))
            return
        place = Path(target)
        if contents and kind == "folder":
            if not place.exists():
                place.mkdir()
            folder, name = place, "."
        elif place.is_dir():
            folder, name = place, last
        else:
            if target.endswith("/") or not place.parent.is_dir():
                raise PyorchError(f"`{target}` is no directory here", hint="make it first")
            if kind == "folder" and place.exists():
                raise PyorchError(f"`{target}` is a file here, and `{path}` a directory")
            folder, name = place.parent, place.name
        with tempfile.TemporaryFile() as file:
            self._pieces(query, name, file)
            file.seek(0)
            from runtime.errors import DriverError
            from runtime.image.layers import unpack_copy

            mine = os.getuid(), os.getgid()
            try:
                unpack_copy(file, folder, owner=None if self._args.archive else mine)
            except DriverError as error:
                raise PyorchError(f"cannot copy to `{target}`: {error.cause}") from None
        say(f"copied {service}:{path} to {target}")

    def send(self, service: str, path: str) -> None:
        """Copy what is here to a path of containers."""
        source = self._args.source
        with tempfile.TemporaryFile() as file:
            packed = ""
            for place in self._places(service):
                kind = self._client.get(f"{self._files}/kind", place | {"path": path})["kind"]
                folder, name = self._target(path, kind, source)
                if source == "-" and not packed:
                    while data := sys.stdin.buffer.read(1024 * 1024):
                        file.write(data)
                    packed = "-"
                elif packed != name:
                    file.seek(0)
                    file.truncate()
                    self._pack(Path(source), name, file)
                    packed = name
                file.seek(0)
                owners = "1" if self._args.archive else "0"
                query = place | {"path": folder, "owners": owners}
                self._client.upload(self._files, query, cast("Any", file))
        say(f"copied {source} to {service}:{path}")

    def _target(self, path: str, kind: str, source: str) -> tuple[str, str]:
        """Return the folder something is unpacked into, and what it is called there."""
        if source == "-":
            if kind != "folder":
                raise PyorchError(f"`{path}` is no directory there", hint="make it first")
            return path, "-"
        here = Path(source)
        if not here.exists() and not here.is_symlink():
            raise PyorchError(f"there is no `{source}` here")
        contents = posixpath.basename(source) in (".", "..") or not here.name
        if kind == "folder":
            return path, "." if contents else here.name
        if kind == "file" and here.is_dir():
            raise PyorchError(f"`{path}` is a file there, and `{source}` a directory")
        if path.endswith("/") and not here.is_dir():
            raise PyorchError(f"`{path}` is no directory there", hint="make it first")
        stripped = path.rstrip("/")
        return posixpath.dirname(stripped) or "/", posixpath.basename(stripped)

    def _pack(self, source: Path, name: str, file: IO[bytes]) -> None:
        if self._args.follow_link:
            source = source.resolve()
        with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            try:
                archive.add(source, arcname=name)
            except OSError as error:
                raise PyorchError(f"cannot read `{error.filename}`: {error.strerror}") from None

    def _places(self, service: str) -> list[dict[str, str]]:
        """Return the containers something is copied to."""
        if self._args.index is not None:
            return [self._of(service, self._args.index)]
        view = self._client.get(f"/v1/stacks/{self._stack}", {"service": [service]})
        found = [
            self._of(one["service"], one["slot"])
            for one in view["replicas"]
            if one["service"] == service or (self._args.all and one["one_off"] == service)
        ]
        return found or [self._of(service, None)]

    def _of(self, service: str, index: int | None) -> dict[str, str]:
        return {"service": service} | ({} if index is None else {"index": str(index)})

    def _pieces(self, query: dict[str, str], name: str, out: IO[bytes]) -> None:
        follow = "1" if self._args.follow_link else "0"
        for data in self._client.download(self._files, query | {"as": name, "follow": follow}):
            out.write(data)
        out.flush()
