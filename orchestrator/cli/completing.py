"""What may come next on a command line that is being typed. Imported for that alone.

argcomplete walks the parser; what stands here is what only pyorch knows: names of services,
profiles, stacks and images. Nothing is started for it and nothing is said about what is not right
yet.
"""

import argparse
import contextlib
import os
from collections.abc import Callable, Iterable
from typing import Any

import argcomplete

from orchestrator.cli.loading import settle
from orchestrator.client import Client
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings

Names = Iterable[str]
Completer = Callable[..., Names]


def typed() -> list[str]:
    """Return the words of the line up to where the cursor is."""
    line, point = os.environ.get("COMP_LINE", ""), os.environ.get("COMP_POINT", "")
    return line[: int(point) if point.isdigit() else len(line)].split()[1:]


def complete(parser: argparse.ArgumentParser) -> None:
    """Print what may come next, and end this process."""
    _teach(parser)
    argcomplete.autocomplete(parser, always_complete_options=False)


def _teach(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                _teach(verb)
        elif (completer := _completer(action)) is not None:
            action.completer = completer  # type: ignore[attr-defined]


def _completer(action: argparse.Action) -> Completer | None:
    if "-p" in action.option_strings and action.dest == "project_name":
        return _stacks
    if "--profile" in action.option_strings:
        return _profiles
    match action.dest:
        case "service" | "services":
            return _services
        case "scale":
            return _scales
        case "reference" | "references":
            return _images
        case _:
            return None


def _services(parsed_args: argparse.Namespace, **_: object) -> Names:
    args = _whole(parsed_args)
    with contextlib.suppress(PyorchError):
        if not args.project_name:
            return list(_quietly(args)["services"])
    found = _ask(lambda client: client.get(f"/v1/stacks/{args.project_name}")["replicas"])
    return sorted({one["service"] for one in found})


def _scales(parsed_args: argparse.Namespace, **_: object) -> Names:
    return [f"{name}=" for name in _services(parsed_args)]


def _profiles(parsed_args: argparse.Namespace, **_: object) -> Names:
    args = _whole(parsed_args)
    args.profile = ["*"]
    with contextlib.suppress(PyorchError):
        services = _quietly(args)["services"].values()
        return sorted({name for service in services for name in service["profiles"]})
    return ()


def _stacks(**_: object) -> Names:
    return [one["name"] for one in _ask(lambda client: client.get("/v1/stacks"))]


def _images(**_: object) -> Names:
    found = _ask(lambda client: client.get("/v1/images"))
    return [_short(name) for one in found for name in one["references"]]


def _short(reference: str) -> str:
    """Return a reference as people write it."""
    name = reference.removeprefix("docker.io/").removeprefix("library/")
    return name.removesuffix(":latest")


def _whole(args: argparse.Namespace) -> argparse.Namespace:
    """Return what was typed so far as a namespace commands understand."""
    found = argparse.Namespace(**vars(args))
    for name in ("file", "env_file", "profile"):
        late = getattr(args, f"late_{name}", None) or []
        setattr(found, name, [*(getattr(args, name, None) or []), *late])
    for name in ("project_name", "project_directory"):
        setattr(found, name, getattr(args, name, None))
    return found


def _quietly(args: argparse.Namespace) -> dict[str, Any]:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        return dict(settle(args).document)


def _ask(question: Callable[[Client], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    try:
        return question(Client(Settings.from_environ().socket))
    except PyorchError:
        return []
