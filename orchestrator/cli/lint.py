"""``pyorch lint``: what a stack file may say and rarely means."""

import argparse
import json
import sys
from pathlib import Path

from orchestrator.cli.loading import request_of, warn
from orchestrator.cli.render import say
from orchestrator.errors import Paint, PyorchError
from orchestrator.lint import RULES, Finding, find, mend
from orchestrator.spec.load import load_stack
from orchestrator.spec.problems import Mark, Problem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("--fix", action="store_true", help="change the files where that is safe")
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="RULE", help="leave a rule out"
    )
    parser.add_argument("--rules", action="store_true", help="list the rules")
    parser.add_argument("--format", choices=["text", "json"], default="text")


def run(args: argparse.Namespace) -> int:
    """Print what is found; return 1 where something is left, else 0."""
    if args.rules:
        width = max(len(rule.name) for rule in RULES)
        lines = (f"{rule.name.ljust(width)}  {rule.meaning}\n" for rule in RULES)
        sys.stdout.write("".join(lines))
        return 0
    unknown = set(args.ignore) - {rule.name for rule in RULES}
    if unknown:
        raise PyorchError(
            f"there is no rule `{min(unknown)}`", hint="`pyorch lint --rules` lists them"
        )
    loaded = load_stack(request_of(args))
    warn(loaded.warnings)
    found = find(loaded.stack, loaded.tree, ignore=args.ignore)
    if args.fix:
        for file, text in mend(found).items():
            if file == "-":
                raise PyorchError("standard input cannot be changed", hint="name a file with -f")
            _write(Path(file), text)
            say(f"changed {file}")
        found = [one for one in found if one.edit is None]
    if args.format == "json":
        sys.stdout.write(json.dumps([_as_json(one) for one in found], indent=2) + "\n")
    else:
        sys.stdout.write("".join(_report(one) for one in found))
        if found:
            say(f"{len(found)} found; `--ignore RULE` leaves one out, `--fix` mends what it can")
    return 1 if found else 0


def _report(one: Finding) -> str:
    paint = Paint(colours=False)
    problem = Problem(mark=_mark(one), path=".".join(one.path), cause=one.text, hint=one.hint)
    first, *rest = problem.report(paint)
    return "".join(f"{line}\n" for line in (first.replace("error:", f"{one.rule}:", 1), *rest))


def _as_json(one: Finding) -> dict[str, object]:
    mark = _mark(one)
    return {
        "rule": one.rule,
        "file": mark.file,
        "line": mark.line,
        "column": mark.column,
        "path": ".".join(one.path),
        "text": one.text,
        "hint": one.hint,
        "fixable": one.edit is not None,
    }


def _mark(one: Finding) -> Mark:
    return one.origin.mark if one.origin else Mark(file="")


def _write(path: Path, text: str) -> None:
    """Put a text in the place of a file, whole or not at all; links are followed, rights kept."""
    place = path.resolve()
    fresh = place.with_name(f".{place.name}.new")
    fresh.write_text(text, newline="")
    fresh.chmod(place.stat().st_mode & 0o7777)
    fresh.replace(place)
