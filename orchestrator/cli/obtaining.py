"""Images a stack needs that somebody has to ask for before it runs: builds, and locked ones.

The daemon fetches what it can by itself. What only the person at the keyboard can give, the
files an image is built from, is looked after here, before the daemon is told of the stack.
"""

import argparse
import time
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.cli.cache import Settled
from orchestrator.cli.render import say
from orchestrator.cli.transfer import transfer
from orchestrator.client import Client
from orchestrator.errors import PyorchError
from orchestrator.spec.values.pulling import refresh_after


def obtain(args: argparse.Namespace, settled: Settled, client: Client) -> None:
    """Build what is to be built. Raises PyorchError naming the service at fault."""
    _refresh(args, settled, client)
    services = dict(_to_build(args, settled, client))
    if not services:
        return
    if args.no_build:
        name, image = next(iter(services.items()))
        raise PyorchError(
            f"services.{name}: image `{image}` is not here, and --no-build is given",
            hint=f"`pyorch build {name}`, or leave --no-build out",
        )
    # Loads what an `up` without builds has no use for.
    from orchestrator.building.prepare import Wishes
    from orchestrator.cli.building import Printer, build_images, load_to_build

    loaded = load_to_build(args, quiet=True)
    printer = Printer(quiet=args.quiet_build)
    build_images(client, loaded, tuple(services), Wishes(), printer)
    for image in dict.fromkeys(services.values()):
        say(f"Image {image} Built")


def _refresh(args: argparse.Namespace, settled: Settled, client: Client) -> None:
    """Pull what is older than its service wants it, each image once.

    What is missing the daemon fetches by itself. Where a registry does not answer, an image
    that is only too old does.
    """
    ages: dict[str, tuple[str, float]] = {}
    for name, service in settled.document["services"].items():
        image = _reference(service)
        after = refresh_after(_policy(args, service))
        if image and after is not None and after <= ages.get(image, ("", after))[1]:
            ages[image] = name, after
    for image, (name, after) in ages.items():
        age = _age(client, image)
        if age is None or age < after:
            continue
        try:
            transfer(client, "pull", image, {"reference": image}, quiet=args.quiet_pull)
        except PyorchError as error:
            built = bool(settled.document["services"][name].get("build"))
            if not after and not built:
                raise PyorchError(
                    f"services.{name}: {error}", hint=error.hint, code=error.code
                ) from None
            say(f"services.{name}: {error}; the one that is here is used")


def _reference(service: Mapping[str, Any]) -> str:
    """Return a service's image with the platform that is asked for; nothing where it has none."""
    image = str(service.get("image") or "")
    if not image or service.get("build") or not service.get("platform"):
        return image
    from runtime.image.reference import for_platform

    return for_platform(image, service["platform"])


def _policy(args: argparse.Namespace, service: Mapping[str, Any]) -> str:
    given = args.pull
    return str(given if given and given != "policy" else service.get("pull_policy") or "")


def _age(client: Client, image: str) -> float | None:
    """Return how long ago a name was last given; None where there is no such image."""
    try:
        found = client.get("/v1/images/inspect", {"reference": image})
    except PyorchError as error:
        if error.code != "not_found":
            raise
        return None
    named = found["Named"].values()
    from runtime.image.reference import parse_reference

    moment = found["Named"].get(str(parse_reference(image)), max(named, default=0.0))
    return max(time.time() - float(moment or 0.0), 0.0)


def _to_build(
    args: argparse.Namespace, settled: Settled, client: Client
) -> Iterator[tuple[str, str]]:
    """Yield the services to be built, with their images' names."""
    for name, service in settled.document["services"].items():
        if not service.get("build"):
            continue
        image = service.get("image") or f"{settled.name}-{name}"
        asked = args.build or _policy(args, service) == "build"
        if (asked and not args.no_build) or not (
            is_here(client, image) or _pulled(client, service)
        ):
            yield name, image


def is_here(client: Client, image: str) -> bool:
    """Whether an image is in the store under a name, for the platform the name says."""
    try:
        client.get("/v1/images/inspect", {"reference": image})
    except PyorchError as error:
        if error.code != "not_found":
            raise
        return False
    return True


def _pulled(client: Client, service: Mapping[str, Any]) -> bool:
    """Whether a registry has the image; one that has no name of its own is in none."""
    image, policy = service.get("image"), service.get("pull_policy")
    if not image or policy in ("never", "build"):
        return False
    try:
        transfer(client, "pull", image, {"reference": image}, quiet=False)
    except PyorchError as error:
        say(f"{error}: it is built")
        return False
    return True


def hold_to_lock(
    args: argparse.Namespace, document: Mapping[str, Any], client: Client
) -> Mapping[str, Any]:
    """Return the stack as it runs on the images of its lock file alone.

    Raises PyorchError naming every service whose image moved, or is not in the file.
    """
    from orchestrator.cli.loading import request_of
    from orchestrator.cli.locking import NAME, locked_services, moved, read_lock
    from orchestrator.spec.load import load_stack

    if args.pull == "always":
        raise PyorchError("--locked and --pull always exclude each other")
    loaded = load_stack(request_of(args, services=tuple(args.services)))
    lock = read_lock(loaded.found.directory)
    if lock is None:
        raise PyorchError(
            f"there is no `{loaded.found.directory / NAME}`", hint="`pyorch lock` writes it"
        )
    held = dict(locked_services(loaded.stack))
    platforms = {name: one.platform for name, one in loaded.stack.services.items()}
    moved(client, lock, held.items(), platforms)
    # Nobody asks a registry any more what a name stands for.
    services = {
        name: {**service, "pull_policy": "never"} if name in held else service
        for name, service in document["services"].items()
    }
    return {**document, "services": services}


def with_pull_policy(args: argparse.Namespace, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the stack with the pull policy of the command line, where there is one.

    What had to be asked for again has been: the daemon fetches only what is not there.
    """
    if args.pull not in ("missing", "never") or args.locked:
        return document
    services = {
        name: {**service, "pull_policy": args.pull}
        for name, service in document["services"].items()
    }
    return {**document, "services": services}
