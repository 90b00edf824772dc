"""`docs/cli.md`: verbs and flags people know from `docker compose`, and which of them are here.

What is here is read from the parsers. That somebody has seen it work is read from the tests: a flag
that none of them names together with its verb counts as missing.
"""

import argparse
import ast
import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.cli import ALIASES, COMMANDS

WANTED: Mapping[str, str] = {
    "up": "-d/--detach --wait --wait-timeout --build --no-build --pull --quiet-pull --quiet-build"
    " --force-recreate --no-recreate --always-recreate-deps -V/--renew-anon-volumes --no-deps"
    " --no-start --scale --remove-orphans -t/--timeout --attach --no-attach --attach-dependencies"
    " --abort-on-container-exit --abort-on-container-failure --exit-code-from --no-color"
    " --no-log-prefix --timestamps -w/--watch --menu -y/--yes",
    "down": "-v/--volumes --rmi --remove-orphans -t/--timeout",
    "create": "--build --no-build --pull --quiet-pull --force-recreate --no-recreate --scale"
    " --remove-orphans -y/--yes",
    "start": "--wait --wait-timeout",
    "stop": "-t/--timeout",
    "restart": "-t/--timeout --no-deps",
    "kill": "-s/--signal --remove-orphans",
    "rm": "-f/--force -s/--stop -v/--volumes",
    "pause": "",
    "unpause": "",
    "scale": "--no-deps",
    "run": "--rm -d/--detach -e/--env --env-from-file -v/--volume -p/--publish -P/--service-ports"
    " --entrypoint -u/--user -w/--workdir --name -l/--label --no-deps -T/--no-tty"
    " -i/--interactive --use-aliases --cap-add --cap-drop --pull --build -q/--quiet --quiet-pull"
    " --quiet-build --remove-orphans",
    "exec": "-d/--detach -e/--env -u/--user -w/--workdir -T/--no-tty --index --privileged",
    "attach": "--index --no-stdin --detach-keys --sig-proxy",
    "logs": "-f/--follow -n/--tail --since --until -t/--timestamps --no-color --no-log-prefix"
    " --index",
    "ps": "-a/--all -q/--quiet --services --status --filter --format --no-trunc --orphans",
    "ls": "-a/--all -q/--quiet --filter --format",
    "config": "--format -q/--quiet -o/--output --services --volumes --networks --models --images"
    " --profiles --variables --environment --hash --resolve-image-digests --lock-image-digests"
    " --no-interpolate --no-normalize --no-path-resolution --no-consistency --no-env-resolution",
    "build": "--build-arg --no-cache --pull --push --with-dependencies --ssh --builder --print"
    " --check --provenance --sbom -m/--memory -q/--quiet",
    "pull": "--policy --include-deps --ignore-buildable --ignore-pull-failures -q/--quiet",
    "push": "--include-deps --ignore-push-failures -q/--quiet",
    "images": "-q/--quiet --format",
    "port": "--protocol --index",
    "top": "",
    "stats": "--no-stream --format -a/--all --no-trunc",
    "events": "--json --since --until",
    "cp": "-a/--archive -L/--follow-link --index --all",
    "volumes": "-q/--quiet --format",
    "wait": "--down-project",
    "watch": "--no-up --quiet --prune",
    "export": "-o/--output --index",
    "commit": "-a/--author -m/--message -c/--change -p/--pause --index",
    "publish": "--app --resolve-image-digests --with-env --oci-version -y/--yes",
    "viz": "--networks --ports --image --indentation-size --spaces",
    "version": "--short -f/--format",
    "completion": "",
}
"""Every verb with its flags, as features of `docker compose` 5.5."""
DIFFERS: Mapping[tuple[str, str], str] = {
    ("up", "--remove-orphans"): "services the file names no more go in any case; this removes runs",
    ("down", "--remove-orphans"): "all of the stack goes in any case",
    ("run", "-v/--volume"): "a volume the file does not name has to be there",
    ("run", "-d/--detach"): "prints the container's name, not its id",
    ("stats", "--no-trunc"): "nothing is ever cut",
    ("stats", "--format"): "`table` and `json`; no templates",
    ("ps", "--format"): "`table` and `json`; no templates",
    ("ps", "--orphans"): "what the file names no more is on its way out, and shown until then",
    ("ls", "-a/--all"): "stacks of which nothing runs are always shown",
    ("ls", "--filter"): "`name=` with a part of the name",
    ("scale", "--no-deps"): "what a service depends on is never scaled or started with it",
    ("events", "--since"): "how long ago, not a moment",
}
"""What is here and is not quite the same."""
UNWANTED: Mapping[tuple[str, str], str] = {
    ("build", "--builder"): "there is one builder",
    ("viz", ""): "`pyorch graph` draws it, also for Graphviz",
}
"""What is not here, and why it is not missed."""


@dataclass(frozen=True, slots=True)
class Row:
    """How it stands with one flag of a verb, or with the verb itself where there is no flag."""

    verb: str
    flag: str
    state: str
    remark: str = ""


def rows(tests: Path) -> Iterator[Row]:
    """Yield how it stands with every verb and flag; ``tests`` is the folder of scenarios."""
    shown = list(_named(tests))
    for verb, flags in WANTED.items():
        here = _options(verb) if verb in COMMANDS else None
        for flag in ("", *flags.split()):
            yield _row(verb, flag, here, shown)


def render(found: Iterable[Row]) -> str:
    """Return the page."""
    lines: list[str] = []
    counts = {"yes": 0, "differs": 0, "no": 0}
    for row in found:
        counts[row.state] += 1
        if not row.flag:
            lines += ["", f"## `{row.verb}`", "", "| flag | here | |", "|---|---|---|"]
        told = f"`{row.flag.replace('/', '`, `')}`" if row.flag else "the verb"
        lines.append(f"| {told} | {row.state} | {row.remark} |")
    head = ", ".join(f"{count} {state}" for state, count in counts.items())
    return (
        "# Verbs and flags of `docker compose`, and which of them are here\n\n"
        "Written by `make docs` from the parsers and the tests: a flag no test names\n"
        "together with its verb is a *no*, whether it is there or not. What only pyorch has\n"
        f"is not in this table; `pyorch --help` lists it.\n\nIn all: {head}.\n"
        + "\n".join(lines)
        + "\n"
    )


def _row(verb: str, flag: str, here: set[str] | None, shown: Iterable[set[str]]) -> Row:
    if reason := UNWANTED.get((verb, flag)) or UNWANTED.get((verb, "")):
        return Row(verb, flag, "no", reason)
    names = set(flag.split("/")) if flag else set()
    if here is None or (names and not names & here):
        return Row(verb, flag, "no", "not here yet")
    verbs = {verb, *(alias for alias, meant in ALIASES.items() if meant == verb)}
    if not any(verbs & words and (not names or names & words) for words in shown):
        return Row(verb, flag, "no", "here, and no test shows it")
    if reason := DIFFERS.get((verb, flag)):
        return Row(verb, flag, "differs", reason)
    return Row(verb, flag, "yes")


def _options(verb: str) -> set[str]:
    parser = argparse.ArgumentParser(add_help=False)
    importlib.import_module(f"orchestrator.cli.{verb}").add_arguments(parser)
    return {name for action in parser._actions for name in action.option_strings}


def _named(tests: Path) -> Iterator[set[str]]:
    """Yield the words each test function, or what it calls of its file, is about."""
    for path in sorted(tests.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef):
                continue
            texts = (one.value for one in ast.walk(node) if isinstance(one, ast.Constant))
            if words := [one for one in texts if isinstance(one, str)]:
                # What follows `=` is a value; clusters of short flags are several.
                found = {word.partition("=")[0] if word[:2] == "--" else word for word in words}
                short = {word for word in words if word[:1] == "-" and word[1:].isalpha()}
                found |= {f"-{letter}" for word in short for letter in word[1:]}
                yield found
