"""``stack.lock``: which image each name stood for, by platform, when somebody wrote it down.

JSON, sorted, so that two people who lock the same make the same file. Images that are built are
no part of it: what they are is said by the files they are built from.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.client import Client
from orchestrator.errors import PyorchError
from orchestrator.spec.models import StackFile

NAME = "stack.lock"
VERSION = 1
LARGEST = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Lock:
    """Digests by settled reference and platform."""

    path: Path
    images: dict[str, dict[str, str]] = field(default_factory=dict)

    def text(self) -> str:
        """Return what the file holds."""
        document = {"version": VERSION, "images": self.images}
        return json.dumps(document, indent=2, sort_keys=True) + "\n"


@dataclass(frozen=True, slots=True)
class Here:
    """An image of the store, as far as locking needs it."""

    id: str
    platform: str
    source: str
    index: str


def read_lock(folder: Path) -> Lock | None:
    """Return the lock of a stack's folder; None where there is none. Raises PyorchError."""
    path = folder / NAME
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(LARGEST))
        if document["version"] != VERSION:
            raise PyorchError(
                f"`{path}` is of version {document['version']}, which this pyorch does not know",
                hint="a newer pyorch wrote it",
            )
        images = {
            str(name): {str(platform): str(digest) for platform, digest in digests.items()}
            for name, digests in document["images"].items()
        }
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PyorchError(
            f"`{path}` is no lock file: {error}", hint="`pyorch lock` writes it anew"
        ) from None
    return Lock(path, images)


def write_lock(lock: Lock) -> None:
    """Replace the file in one step."""
    aside = lock.path.with_name(f".{NAME}.writing-{os.getpid()}")
    try:
        aside.write_text(lock.text())
        aside.replace(lock.path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise PyorchError(f"`{lock.path}` cannot be written: {error.strerror}") from None


def locked_services(stack: StackFile) -> Iterator[tuple[str, str]]:
    """Yield services whose image somebody else makes, each with its settled reference."""
    from runtime.image.reference import parse_reference

    for name, service in stack.services.items():
        if service.provider is None and service.build is None:
            yield name, str(parse_reference(stack.image_of(name)))


def find_here(client: Client, reference: str) -> Here | None:
    """Return the image a name stands for in the store; None where there is none."""
    try:
        found = client.get("/v1/images/inspect", {"reference": reference})
    except PyorchError as error:
        if error.code != "not_found":
            raise
        return None
    config, origin = found["Config"], found["Origin"]
    parts = (config.get("os"), config.get("architecture"), config.get("variant"))
    platform = origin["platform"] or "/".join(part for part in parts if part)
    return Here(found["Id"], platform, origin["source"], origin["index"])


def variants(client: Client, reference: str) -> dict[str, str]:
    """Ask the registry which digests a name stands for now, by platform."""
    answer: Mapping[str, Any] = client.post("/v1/images/variants", {"reference": reference})
    return {str(platform): str(digest) for platform, digest in answer["digests"].items()}


def find_digests(client: Client, reference: str, *, upgrade: bool) -> dict[str, str]:
    """Return what a name stands for, by platform: what is here, else what its registry has.

    With ``upgrade`` it is the registry that counts.
    """
    here = None if upgrade else find_here(client, reference)
    if here is None:
        return variants(client, reference)
    found = {here.platform: here.id}
    if here.source and here.index:
        try:
            found = variants(client, f"{here.source}@{here.index}") | found
        except PyorchError:
            # The other platforms are a courtesy; this one's is known.
            return found
    return found


def digest_for(digests: Mapping[str, str], platform: str) -> str | None:
    """Return the digest for a platform, also where one of the two names no variant."""
    if platform in digests:
        return digests[platform]
    plain = "/".join(platform.split("/")[:2])
    matching = [digest for name, digest in digests.items() if name.startswith(plain)]
    return matching[0] if len(set(matching)) == 1 else None


def moved(
    client: Client,
    lock: Lock,
    services: Iterable[tuple[str, str]],
    platforms: Mapping[str, str],
) -> None:
    """Have the store hold exactly what is locked; raise PyorchError naming all that moved.

    What is not here is fetched by its digest, and given its name then: no tag is believed.
    ``platforms`` are those services ask for; others get that of this machine.
    """
    from runtime.image.reference import for_platform
    from runtime.platforms import parse_platform

    usual = str(client.get("/v1/version")["platform"])
    wrong: list[str] = []
    for service, reference in services:
        digests = lock.images.get(reference)
        asked = platforms.get(service, "")
        platform = str(parse_platform(asked)) if asked else usual
        wanted = digest_for(digests, platform) if digests else None
        if wanted is None:
            what = f"for {platform}" if digests else "at all"
            wrong.append(f"services.{service}: `{reference}` is not in {NAME} {what}")
            continue
        reference = for_platform(reference, asked)
        here = find_here(client, reference)
        if here is not None and here.id != wanted:
            wrong.append(
                f"services.{service}: `{reference}` is {here.id} here, and {wanted} in {NAME}"
            )
        elif here is None:
            _fetch(client, service, reference, wanted)
    if wrong:
        raise PyorchError(
            "\n".join(wrong),
            hint="`pyorch lock` writes down what is here; `pyorch image rm NAME` lets go of it,"
            " so that what is locked is fetched",
            code="lock_mismatch",
        )


def _fetch(client: Client, service: str, reference: str, digest: str) -> None:
    from orchestrator.cli.transfer import transfer
    from runtime.image.reference import without_platform

    plain = without_platform(reference)
    head, _, last = plain.rpartition("/")
    named = "@" in reference
    bare = reference if named else f"{head}/{last.partition(':')[0]}@{digest}"
    try:
        transfer(client, "pull", bare, {"reference": bare}, quiet=False)
    except PyorchError as error:
        raise PyorchError(
            f"services.{service}: {error}", hint=error.hint, code=error.code
        ) from None
    if not named:
        client.post("/v1/images/tag", {"reference": bare, "name": reference})
        client.delete("/v1/images", {"reference": bare, "force": 0})
