"""Builds of a stack: which, in which order, several at once, and what they print."""

import argparse
import json
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from orchestrator.building.pack import pack
from orchestrator.building.prepare import (
    Prepared,
    Wishes,
    in_order,
    needed_builds,
    prepare,
    refused,
)
from orchestrator.cli.loading import fetch_remote, request_of, warn
from orchestrator.cli.proxies import read_proxies
from orchestrator.cli.render import COLOURS, safe
from orchestrator.client import Building, Client
from orchestrator.errors import PyorchError
from orchestrator.frames import EXIT, STDOUT
from orchestrator.spec.load import Loaded, load_stack

AT_ONCE = 4
"""Builds one command has going; the daemon may make some of them wait."""


def load_to_build(args: argparse.Namespace, *, quiet: bool = False) -> Loaded:
    """Load the stack file for its builds; nothing of it need be able to run."""
    loaded = load_stack(request_of(args, services=tuple(args.services)))
    if not quiet:
        warn(loaded.warnings)
    return loaded


@dataclass(slots=True)
class Printer:
    """Prints lines of several builds, each line whole and under its service's name."""

    quiet: bool = False
    as_json: bool = False
    width: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _begun: dict[str, bytes] = field(default_factory=dict)
    _order: list[str] = field(default_factory=list)

    def take(self, service: str, data: bytes) -> None:
        """Print what has come to whole lines."""
        with self._lock:
            *lines, self._begun[service] = (self._begun.get(service, b"") + data).split(b"\n")
            for line in lines:
                self._print(service, line)

    def end(self, service: str) -> None:
        """Print what is left of the last line."""
        with self._lock:
            if rest := self._begun.pop(service, b""):
                self._print(service, rest)

    def _print(self, service: str, line: bytes) -> None:
        # A line that is drawn over itself is shown as it was left.
        text = line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace").expandtabs()
        if self.quiet or not text.strip():
            return
        if self.as_json:
            sys.stderr.write(json.dumps({"service": service, "line": text}) + "\n")
            return
        if service not in self._order:
            self._order.append(service)
        head = service.ljust(self.width)
        if sys.stderr.isatty():
            head = f"\x1b[{COLOURS[self._order.index(service) % len(COLOURS)]}m{head}\x1b[0m"
        sys.stderr.write(f"{head} | {safe(text)}\n")
        sys.stderr.flush()


def build_images(
    client: Client,
    loaded: Loaded,
    services: Sequence[str],
    wishes: Wishes,
    printer: Printer,
) -> Mapping[str, str]:
    """Build services' images and what those begin with; return the images' ids, by service.

    Raises PyorchError for the first that fails; those that run are ended.
    """
    ordered = in_order(loaded.whole, services)
    refused(loaded, ordered)
    for name in ordered:
        build = loaded.whole.services[name].build
        if build is not None and len(build.platforms) > 1:
            warn([f"services.{name}.build.platforms: only this machine's is built"])
    printer.width = max((len(name) for name in ordered), default=0)
    wishes = replace(wishes, proxies=read_proxies())
    prepared = {name: prepare(loaded, name, wishes, fetch_remote) for name in ordered}
    needs = {name: needed_builds(loaded.whole, name) for name in ordered}
    return _Round(client, printer).run(prepared, needs)


@dataclass(slots=True)
class _Round:
    client: Client
    printer: Printer
    _under_way: set[Building] = field(default_factory=set)
    _left: threading.Event = field(default_factory=threading.Event)

    def run(
        self, prepared: Mapping[str, Prepared], needs: Mapping[str, Sequence[str]]
    ) -> Mapping[str, str]:
        made: dict[str, str] = {}
        waiting = dict(prepared)
        running: dict[Future[str], str] = {}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                while waiting or running:
                    ready = [name for name in waiting if all(one in made for one in needs[name])]
                    for name in ready[: AT_ONCE - len(running)]:
                        running[pool.submit(self._one, waiting.pop(name))] = name
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        name = running.pop(future)
                        made[name] = future.result()
            except BaseException:
                self._leave()
                raise
        return made

    def _leave(self) -> None:
        """End what is under way, and let nothing begin any more."""
        self._left.set()
        for building in tuple(self._under_way):
            building.leave()

    def _one(self, prepared: Prepared) -> str:
        building = self.client.build(prepared.request.model_dump_json().encode())
        self._under_way.add(building)
        try:
            if self._left.is_set():
                building.leave()
            return self._follow(building, prepared)
        finally:
            self._under_way.discard(building)
            building.close()

    def _follow(self, building: Building, prepared: Prepared) -> str:
        service = prepared.service
        for kind, data in building.frames(pack(prepared.folders)):
            if kind == STDOUT:
                self.printer.take(service, data)
                continue
            self.printer.end(service)
            told = json.loads(data)
            if kind == EXIT:
                return str(told["image"])
            raise PyorchError(
                f"services.{service}.build: {told['detail']}",
                hint=told.get("hint"),
                code=told.get("code", "failed"),
            )
        raise PyorchError(f"the build of `{prepared.image}` came to no end")
