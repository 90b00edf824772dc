"""``pyorch config``: check a stack file, and print it, or a part of what is in it."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli.loading import request_of, warn
from orchestrator.errors import PyorchError

if TYPE_CHECKING:
    from orchestrator.spec.models import StackFile

LISTS = ("services", "volumes", "networks", "models", "images", "profiles")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("services_named", nargs="*", metavar="SERVICE", help="only these")
    parser.add_argument("-q", "--quiet", action="store_true", help="only check")
    parser.add_argument("--format", choices=["yaml", "json"], help="yaml where none is given")
    parser.add_argument("-o", "--output", metavar="FILE", help="write it there")
    for kind in LISTS:
        parser.add_argument(f"--{kind}", action="store_true", help=f"names of {kind} only")
    parser.add_argument("--variables", action="store_true", help="variables, and their defaults")
    parser.add_argument("--environment", action="store_true", help="variables that are set")
    parser.add_argument("--hash", metavar="SERVICES", help="hash of services, `*` for all")
    parser.add_argument(
        "--explain", metavar="PATH", help="why a value is what it is, as `services.web.image`"
    )
    parser.add_argument(
        "--schema", action="store_true", help="JSON schema of stack files, for editors"
    )
    parser.add_argument("--no-interpolate", action="store_true", help="leave variables")
    parser.add_argument("--no-normalize", action="store_true", help="leave things unsaid")
    parser.add_argument("--no-path-resolution", action="store_true", help="leave paths")
    parser.add_argument("--no-consistency", action="store_true", help="leave contradictions")
    parser.add_argument("--no-env-resolution", action="store_true", help="leave env files")
    parser.add_argument(
        "--resolve-image-digests", action="store_true", help="pin images to digests"
    )
    parser.add_argument(
        "--lock-image-digests", action="store_true", help="print an override that pins images"
    )


def run(args: argparse.Namespace) -> int:
    """Print the settled stack file, or a part of it."""
    text = _text(args)
    if args.quiet:
        return 0
    if args.output:
        Path(args.output).write_text(text)
    else:
        sys.stdout.write(text)
    return 0


def _text(args: argparse.Namespace) -> str:
    if args.schema:
        return _schema()
    if args.explain is not None:
        return _explained(args)
    if args.variables:
        return _variables(args)
    listed = [kind for kind in LISTS if getattr(args, kind)]
    if args.no_interpolate and (not listed or listed == ["services"]):
        return _as_it_is(args, listed)
    return _settled(args, listed)


def _settled(args: argparse.Namespace, listed: list[str]) -> str:
    from orchestrator.spec.load import load_stack
    from orchestrator.spec.showing.dump import dump, write

    loaded = load_stack(
        request_of(
            args, services=tuple(args.services_named), plain=bool(listed), to_run=bool(args.hash)
        )
    )
    warn(loaded.warnings)
    stack = loaded.stack
    if listed:
        return _lines(_listed(stack, loaded.disabled, listed))
    if args.environment:
        return _lines(f"{key}={value}" for key, value in sorted(loaded.variables.items()))
    if args.hash:
        return _lines(_hashes(stack, args.hash))
    as_json = args.format == "json"
    if args.lock_image_digests or args.resolve_image_digests:
        from orchestrator.cli.pinning import pin_images

        stack = pin_images(stack, loaded.found.directory)
    if args.lock_image_digests:
        services = {name: {"image": one.image} for name, one in stack.services.items()}
        return _ended(write({"services": services}, as_json=as_json))
    return _ended(dump(stack, as_json=as_json))


def _as_it_is(args: argparse.Namespace, listed: list[str]) -> str:
    """Print the canonical document with its variables in place."""
    from orchestrator.spec.load import load_document
    from orchestrator.spec.showing.dump import write
    from orchestrator.spec.tree import bare

    if args.lock_image_digests or args.resolve_image_digests:
        raise PyorchError(
            "images are pinned by their names, which --no-interpolate leaves open",
            hint="leave out --no-interpolate",
        )
    document = load_document(request_of(args))
    warn(document.notes.warnings)
    tree: dict[str, Any] = bare(document.tree)
    if listed:
        return _lines(tree.get("services", {}))
    return _ended(write(tree, as_json=args.format == "json"))


def _schema() -> str:
    import json

    from orchestrator.spec.showing.schema import schema

    return json.dumps(schema(), indent=2) + "\n"


def _explained(args: argparse.Namespace) -> str:
    from orchestrator.cli.explaining import json_of, text_of
    from orchestrator.spec.load import load_stack
    from orchestrator.spec.showing.explain import explain

    if args.no_interpolate or args.no_normalize:
        raise PyorchError(
            "only what is settled can be explained",
            hint="leave out --no-interpolate and --no-normalize",
        )
    request = request_of(args, services=tuple(args.services_named), trace=True)
    loaded = load_stack(request)
    warn(loaded.warnings)
    found = explain(args.explain, loaded, request)
    return json_of(found) if args.format == "json" else text_of(found)


def _variables(args: argparse.Namespace) -> str:
    from orchestrator.spec.load import load_document
    from orchestrator.spec.showing.dump import write
    from orchestrator.spec.showing.variables import variables_of

    document = load_document(request_of(args, interpolate=False))
    found = variables_of(document.tree)
    if args.format is None:
        rows = [("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE")]
        for one in found.values():
            rows.append((one.name, str(one.required).lower(), one.default, one.presence))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        return _lines(
            "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )
    described = {
        one.name: {
            "Name": one.name,
            "DefaultValue": one.default,
            "PresenceValue": one.presence,
            "Required": one.required,
        }
        for one in found.values()
    }
    return _ended(write(described, as_json=args.format == "json"))


def _listed(stack: "StackFile", disabled: Any, listed: list[str]) -> list[str]:
    found: list[str] = []
    for kind in listed:
        if kind == "images":
            found += sorted(stack.image_of(n) for n, s in stack.services.items() if not s.provider)
        elif kind == "profiles":
            profiles = {one for service in stack.services.values() for one in service.profiles}
            profiles |= {str(one) for entry in disabled.values() for one in entry["profiles"]}
            found += sorted(profiles)
        elif kind == "models":
            found += sorted(model.model for model in stack.models.values())
        else:
            found += sorted(getattr(stack, kind))
    return found


def _hashes(stack: "StackFile", wanted: str) -> list[str]:
    from orchestrator.translate.desired import revision

    names = sorted(stack.services) if wanted == "*" else wanted.split(",")
    for name in names:
        if name not in stack.services:
            raise PyorchError(f"--hash: no such service: `{name}`", code="not_found")
    return [f"{name} {revision(stack, stack.services[name])}" for name in sorted(names)]


def _lines(found: Any) -> str:
    return "".join(f"{line}\n" for line in found)


def _ended(text: str) -> str:
    return text.rstrip("\n") + "\n"
