"""A stack's images on their way from registries and to them, several at once."""

import argparse
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from orchestrator.cli.loading import settle
from orchestrator.cli.render import say
from orchestrator.cli.transfer import transfer
from orchestrator.client import Client
from orchestrator.errors import PyorchError

AT_ONCE = 4
"""Images under way at the same time; the daemon fetches their layers side by side."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An image, a service that has it, whether that can also be built, and its pull policy."""

    service: str
    image: str
    builds: bool
    policy: str


def wanted_images(args: argparse.Namespace, *, dependencies: bool) -> tuple[Wanted, ...]:
    """Return the images of the services that were named, each once; of all where none was."""
    from runtime.image.reference import for_platform

    settled = settle(args, tuple(args.services))
    services: Mapping[str, Mapping[str, Any]] = settled.document["services"]
    chosen = args.services if args.services and not dependencies else services
    found: dict[str, Wanted] = {}
    for name in chosen:
        service = services[name]
        builds = bool(service.get("build"))
        if service.get("provider"):
            continue
        image = service.get("image") or (f"{settled.name}-{name}" if builds else "")
        if image:
            # What is built here has no platform in its name.
            image = for_platform(image, "" if builds else str(service.get("platform") or ""))
            policy = str(service.get("pull_policy") or "")
            found.setdefault(image, Wanted(name, image, builds, policy))
    return tuple(found.values())


def exchange(
    client: Client, verb: str, wanted: Iterable[Wanted], *, quiet: bool
) -> dict[Wanted, PyorchError]:
    """Pull or push images, several at once; return those that failed, each with its reason."""
    failed: dict[Wanted, PyorchError] = {}

    def one(item: Wanted) -> None:
        try:
            # Lines of several at once would overwrite each other: each is told when it is done.
            transfer(client, verb, item.image, {"reference": item.image}, quiet=True)
            if not quiet:
                say(f"Image {item.image} {verb.capitalize()}ed")
        except PyorchError as error:
            failed[item] = error

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, wanted))
    return failed


def tell(failed: Mapping[Wanted, PyorchError]) -> None:
    """Say what failed, with the service it is for and what helps."""
    for item, error in failed.items():
        say(f"error: services.{item.service}: {error}")
        if error.hint:
            say(f"hint: {error.hint}")
