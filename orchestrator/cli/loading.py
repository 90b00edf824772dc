"""From what was typed to a settled stack file, or just to the stack's name."""

import argparse
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli import cache
from orchestrator.cli.cache import Settled
from orchestrator.cli.proxies import with_proxies

if TYPE_CHECKING:
    from orchestrator.spec.load import LoadRequest
    from orchestrator.spec.reading.remote import Fetched, Reference


def settle(args: argparse.Namespace, services: tuple[str, ...] = ()) -> Settled:
    """Return the stack file that was named or is found here, settled; warnings go to stderr.

    With ``services`` it is about these and what they depend on.
    """
    place = cache.place_of(args, _present_directory(), services)
    settled = cache.recall(place) if place else None
    if settled is None:
        settled = _load(args, place, services)
    for warning in settled.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    return replace(settled, document=with_proxies(settled.document))


def _load(
    args: argparse.Namespace, place: cache.Place | None, services: tuple[str, ...]
) -> Settled:
    from orchestrator.spec.load import load_stack

    since = cache.now()
    loaded = load_stack(request_of(args, services=services, to_run=True))
    settled = Settled(
        name=loaded.stack.name,
        document=json.loads(loaded.stack.model_dump_json()),
        warnings=loaded.warnings,
    )
    if place and not loaded.fetched:
        cache.keep(place, settled, loaded.files_read, since=since)
    return settled


def request_of(
    args: argparse.Namespace,
    *,
    services: tuple[str, ...] = (),
    interpolate: bool = True,
    to_run: bool = False,
    plain: bool = False,
    trace: bool = False,
) -> "LoadRequest":
    """Return what was typed as a request; ``plain`` leaves files of variables unread."""
    from orchestrator.spec.load import LoadRequest

    return LoadRequest(
        files=tuple(args.file),
        project_name=args.project_name,
        project_directory=args.project_directory,
        env_files=tuple(args.env_file),
        profiles=tuple(args.profile),
        services=services,
        environ=os.environ,
        cwd=_present_directory(),
        stdin=sys.stdin.read() if "-" in args.file else None,
        interpolate=interpolate and not getattr(args, "no_interpolate", False),
        normalize=not getattr(args, "no_normalize", False),
        resolve_paths=not getattr(args, "no_path_resolution", False),
        check_consistency=not getattr(args, "no_consistency", False),
        resolve_env=not plain and not getattr(args, "no_env_resolution", False),
        to_run=to_run,
        trace=trace,
        fetch=fetch_remote,
    )


def fetch_remote(reference: "Reference") -> "Fetched":
    """Bring a remote file here; what that takes is imported when there is one."""
    from orchestrator.remote.fetcher import Fetcher

    return Fetcher()(reference)


def _present_directory() -> Path:
    """Return the present directory by the name it was entered by."""
    named = os.environ.get("PWD", "")
    try:
        if os.path.isabs(named) and os.path.samefile(named, "."):
            return Path(os.path.normpath(named))
    except OSError:
        pass
    return Path.cwd()


def warn(warnings: Iterable[str]) -> None:
    """Print warnings, each once."""
    for warning in dict.fromkeys(warnings):
        sys.stderr.write(f"warning: {warning}\n")


def stack_name(args: argparse.Namespace) -> str:
    """Return the stack's name, reading files only where it was not given."""
    if args.project_name:
        return str(args.project_name)
    place = cache.place_of(args, _present_directory())
    settled = cache.recall(place) if place else None
    if settled is not None:
        return settled.name
    from orchestrator.spec.load import load_stack

    return load_stack(request_of(args, plain=True)).stack.name
