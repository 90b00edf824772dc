"""Words about some services of a stack: asked for, and followed until it is so."""

import argparse
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from orchestrator.cli.following import follow_until
from orchestrator.cli.loading import stack_name
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings

State = Mapping[str, Any]


def add_services(parser: argparse.ArgumentParser) -> None:
    """Let services be named; none means all of the stack."""
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="else all of the stack")


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """Let the grace of what is stopped be given."""
    parser.add_argument("-t", "--timeout", type=float, metavar="S", help="seconds before SIGKILL")


def ask(
    args: argparse.Namespace,
    verb: str,
    query: Mapping[str, str] | None = None,
    *,
    until: Callable[[State, Iterable[str]], bool],
) -> Any:
    """Ask for something to be done with the services that were named, and wait until it is."""
    name = stack_name(args)
    client = connect(Settings.from_environ())
    asked: dict[str, Any] = {"service": args.services, **(query or {})}
    timeout = getattr(args, "timeout", None)
    if timeout is not None:
        asked["grace"] = str(timeout)
    answer = client.post(f"/v1/stacks/{name}/{verb}", query=asked)
    services = answer.get("services", args.services)
    follow_until(client, name, lambda state: until(state, services), services)
    return answer


def are_at_rest(state: State, services: Iterable[str]) -> bool:
    """Whether nothing of the services runs."""
    return all(one["phase"] in ("exited", "created") for one in _of(state, services))


def have_started(state: State, services: Iterable[str]) -> bool:
    """Whether the services run, or have run, and none of them waits."""
    names = {one["service"] for one in _of(state, services)}
    waiting = any(held["subject"].rpartition(".")[0] in names for held in state["held"])
    ready = all(one["phase"] in ("running", "exited") for one in _of(state, services))
    return ready and not waiting and not names & set(state["restarting"])


def are_paused(state: State, services: Iterable[str]) -> bool:
    """Whether all that runs of the services stands still."""
    running = [one for one in _of(state, services) if one["phase"] == "running"]
    return all(one["paused"] or one["one_off"] for one in running)


def any_is_paused(state: State, services: Iterable[str]) -> bool:
    """Whether anything of the services stands still."""
    return any(one["paused"] for one in _of(state, services))


def are_gone(state: State, services: Iterable[str]) -> bool:
    """Whether the services have no containers."""
    chosen = set(services)
    return not any(one["service"] in chosen for one in state["replicas"])


def scale_of(given: Iterable[str]) -> dict[str, int]:
    """Read SERVICE=N."""
    found = {}
    for entry in given:
        service, _, count = entry.partition("=")
        if not count.isdigit():
            raise PyorchError(f"`{entry}` is not SERVICE=N", hint="write e.g. `web=3`")
        found[service] = int(count)
    return found


def _of(state: State, services: Iterable[str]) -> list[dict[str, Any]]:
    chosen = set(services)
    return [one for one in state["replicas"] if not chosen or one["service"] in chosen]
