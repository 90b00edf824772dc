"""Watch a stack become what was asked for, and say how it goes."""

import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

from orchestrator.cli.logs import is_line, text_of
from orchestrator.cli.render import in_a_row, safe, say
from orchestrator.client import Client, DaemonUnreachableError
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings

SHOWN_LINES = 10
"""Of what a replica that does badly printed last."""
MOST_LOST = 3
"""How often a daemon may go away under one command before the command gives up."""

TOLD = {
    "image.pulled": "Image {subject} Pulled",
    "network.created": "Network {subject} Created",
    "volume.created": "Volume {subject} Created",
    "replica.created": "Container {subject} Created",
    "replica.started": "Container {subject} Started",
    "replica.refreshed": "Container {subject} Refreshed: {reason}",
    "replica.refresh_failed": "Container {subject} Refreshed, but {reason}",
    "hook.done": "Container {subject} {reason}",
    "replica.paused": "Container {subject} Paused",
    "replica.unpaused": "Container {subject} Unpaused",
    "replica.stopping": "Container {subject} Stopping",
    "replica.killed": "Container {subject} Killed",
    "replica.log_waiting": "Container {subject} Log waits {reason}",
    "replica.log_sending": "Container {subject} Log sent {reason}",
    "replica.removed": "Container {subject} Removed",
    "replica.admitted": "Container {subject} Takes over: {reason}",
    "replica.withdrawn": "Container {subject} Gets no new connections",
    "replica.failed": "Container {subject} Failed: {reason}",
    "update.started": "Service {subject} Updating: {reason}",
    "update.paused": "Service {subject} Update paused: {reason}",
    "update.completed": "Service {subject} Updated",
    "update.rolled_back": "Service {subject} Rolled back: {reason}",
    "network.removed": "Network {subject} Removed",
    "volume.removed": "Volume {subject} Removed",
    "volume.kept": "Volume {subject} Kept: {reason}",
}


def follow_until_settled(
    client: Client, stack: str, generation: int, *, wait: bool, timeout: float | None
) -> None:
    """Return once the stack runs as asked. Raises PyorchError with the reason when it will not.

    Without ``wait`` a stack counts as up as soon as nothing is left to start: health is not
    waited for, except by services that depend on it. A crash loop that something waits for is the
    end, too, once nobody else is left whom the one in it could be waiting for.
    """
    alone: dict[str, int] = {}
    deadline = None if timeout is None else time.monotonic() + timeout
    last: dict[str, Any] = {}
    try:
        for state in _states(client, stack, deadline):
            last = state
            undone = state["undone"]
            if undone and undone["generation"] == generation:
                raise PyorchError(
                    f"stack `{stack}`: {undone['reason']}; rolled back",
                    hint=f"it is as before; see `pyorch -p {stack} events` and `history`",
                )
            if state["generation"] != generation:
                raise _overtaken(stack, state)
            if state["failure"]:
                raise _failure(client, stack, state)
            if state["settled"] or (not wait and _started(state)):
                return
            if timeout is None:
                _check_progress(stack, state)
            if loop := _hopeless(state, alone):
                state["failure"] = f"{loop['id']} is in a crash loop: {in_a_row(loop)}"
                raise _failure(client, stack, state)
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError
    except TimeoutError:
        raise PyorchError(
            f"stack `{stack}` is not healthy after {timeout:g} s: {'; '.join(_missing(last))}",
            hint=f"it is kept as its file says; see `pyorch -p {stack} ps -a` and `logs`",
        ) from None
    raise PyorchError(f"stack `{stack}` was removed meanwhile")


def follow_until_stopped(client: Client, stack: str) -> None:
    """Return once nothing of the stack runs any more. Raises PyorchError when it cannot start."""
    for state in _states(client, stack):
        if state["failure"] and state["intent"] == "run":
            raise _failure(client, stack, state)
        running = [
            one for one in state["replicas"] if one["phase"] != "exited" and not one["one_off"]
        ]
        if state.get("reported", False) and state["settled"] and not running:
            return
        if not running:
            _check_progress(stack, state)


def follow_until(
    client: Client,
    stack: str,
    so: Callable[[dict[str, Any]], bool],
    services: Collection[str] = (),
) -> None:
    """Return once a pass has ended and ``so`` says yes to the state; at once where it is gone.

    Raises PyorchError when the stack fails; where it is about some ``services``, when one does.
    """
    for state in _states(client, stack):
        if state.get("reported", False) and so(state):
            return
        refuse_failed(client, stack, state, services)
        _check_progress(stack, state)


def refuse_failed(
    client: Client, stack: str, state: dict[str, Any], services: Collection[str]
) -> None:
    """Raise PyorchError where a stack fails, and some ``services`` with it if any are meant."""
    if state["failure"] and state.get("reported", False) and _concerns(state, services):
        raise _failure(client, stack, state)


def _concerns(state: dict[str, Any], services: Collection[str]) -> bool:
    """Whether what a stack fails of has to do with some of its services, if any are meant."""
    if not services or state["errors"]:
        return True
    # A failure begins with whose it is.
    failed = {state["failure"].split()[0].rstrip(":")}
    failed |= {held["subject"] for held in state["held"] if held["stuck"]}
    return any(one in services or one.rpartition(".")[0] in services for one in failed)


def follow_until_gone(client: Client, stack: str) -> None:
    """Return once nothing is left of the stack."""
    for state in _states(client, stack):
        if state["failure"] and state["intent"] == "remove":
            raise _failure(client, stack, state)
        _check_progress(stack, state)


def _check_progress(stack: str, state: dict[str, Any]) -> None:
    """Raise PyorchError where a stack has stood still with the same errors for too long."""
    if state["stood_still"] < Settings.from_environ().give_up:
        return
    messages = [one["message"] for one in state["errors"]]
    raise PyorchError(
        f"stack `{stack}`: {'; '.join(dict.fromkeys(messages))}",
        hint="the daemon goes on trying, and `--wait --wait-timeout` waits for it;"
        f" `pyorch -p {stack} down` ends that",
    )


def _overtaken(stack: str, state: dict[str, Any]) -> PyorchError:
    return PyorchError(
        f"stack `{stack}` was asked for differently meanwhile (generation {state['generation']})",
        hint=f"`pyorch -p {stack} history` says by whom; `up` again to have it as your file says",
        code="conflict",
    )


def _missing(state: dict[str, Any]) -> list[str]:
    """Return what a stack that is not settled is waiting for."""
    if not state:
        return ["the daemon has said nothing"]
    missing = [f"{held['subject']}: {held['reason']}" for held in state["held"]]
    missing += [error["message"] for error in state["errors"]]
    told = {held["subject"] for held in state["held"]}
    for one in state["replicas"]:
        if one["id"] in told:
            continue
        if one["phase"] != "running":
            code = f" with {one['exit_code']}" if one["phase"] == "exited" else ""
            missing.append(f"{one['id']}: {one['phase']}{code}")
        elif one["health"] not in ("none", "healthy"):
            missing.append(f"{one['id']}: {one['health']}")
        elif one["restarts"]:
            missing.append(f"{one['id']}: restarted {one['restarts']} times")
    return missing or ["it has not settled yet"]


def _entries(client: Client, stack: str, deadline: float | None) -> Iterator[dict[str, Any]]:
    """Yield what the daemon tells about a stack; one that goes away is started again.

    What was asked for is written down before anything is done, so that the next daemon goes
    on with it, and its stream begins with the present state.
    """
    lost = 0
    while True:
        try:
            yield from client.stream("GET", f"/v1/stacks/{stack}/events", deadline=deadline)
            return
        except DaemonUnreachableError:
            lost += 1
            if lost > MOST_LOST:
                raise
            say(" the daemon went away; starting it again")
            client = connect(Settings.from_environ())


def _states(client: Client, stack: str, deadline: float | None = None) -> Iterator[dict[str, Any]]:
    """Yield the states of a stack, and tell on the way what is new.

    Besides what the daemon says, each has for how many seconds there were errors and no progress.
    """
    told_before: set[str] = set()
    erring: float | None = None
    for entry in _entries(client, stack, deadline):
        match entry["type"]:
            case "state":
                if not entry["errors"]:
                    erring = None
                elif erring is None:
                    erring = time.monotonic()
                entry["stood_still"] = 0.0 if erring is None else time.monotonic() - erring
                tell(client, stack, entry, told_before)
                yield entry
            case "event":
                if entry["name"] in TOLD:
                    erring = None
                tell(client, stack, entry, told_before)
            case _:
                return


def tell(client: Client, stack: str, entry: dict[str, Any], told_before: set[str]) -> None:
    """Say what an entry about a stack has that is new."""
    if entry["type"] == "event":
        told = TOLD.get(entry["name"])
        if told:
            subject = entry["subject"]
            if entry["name"].startswith(("replica.", "hook.")):
                subject = entry["container"]
            say(" " + told.format(subject=subject, reason=entry["reason"]))
        return
    notes = [f" Host: {change}" for change in entry.get("host", ())]
    notes += [f"warning: {lost}" for lost in entry.get("unmet", ())]
    for text in notes:
        if text not in told_before:
            told_before.add(text)
            say(text)
    for one in entry["held"]:
        text = f" {one['subject']} waits: {one['reason']}"
        if text not in told_before and one["reason"] != "stopping":
            told_before.add(text)
            say(text)
    for one in entry["errors"]:
        text = f" {one['message']}; trying again"
        if text not in told_before and not entry["failure"]:
            told_before.add(text)
            say(text)
    for text in _loops(client, stack, entry, told_before):
        say(text)


def _unstarted(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is held and not just for the pause before a restart."""
    restarting = {one["id"] for one in state["replicas"] if one["restarting_wall"]}
    return [one for one in state["held"] if one["subject"] not in restarting]


def _started(state: dict[str, Any]) -> bool:
    reported = state.get("reported", False)
    return bool(
        reported
        and not _unstarted(state)
        and not state["errors"]
        and all(
            one["phase"] == "running" or (one["phase"] == "exited" and one["began"])
            for one in state["replicas"]
        )
    )


def _hopeless(state: dict[str, Any], alone: dict[str, int]) -> dict[str, Any] | None:
    """Return a replica in a crash loop that has nobody left to wait for, if there is one.

    Many a program ends again and again until what it needs is there. ``alone`` remembers how
    often each was restarted when all the others had come to their end, well or not: who ends
    once more after a start that came later, does so of itself.
    """
    loops: list[dict[str, Any]] = [one for one in state["replicas"] if one["crash_loop"]]
    over = {one["service"] for one in loops}
    left = _unstarted(state)
    # What is held begins with whom it waits for.
    while found := [one for one in left if one["reason"].split()[0] in over]:
        over |= {one["subject"].rpartition(".")[0] for one in found}
        left = [one for one in left if one not in found]
    moves = any(not (one["service"] in over or _is_done(one)) for one in state["replicas"])
    if left or moves or state["errors"] or not state.get("reported", False):
        alone.clear()
        return None
    for one in loops:
        before = alone.setdefault(one["id"], one["attempts"])
        # The first restart after that may have been decided before it.
        if one["attempts"] >= before + 2:
            return one
    return None


def _is_done(replica: dict[str, Any]) -> bool:
    """Whether nothing more is to be expected of a replica by itself."""
    if replica["phase"] == "running":
        return replica["health"] in ("none", "healthy", "unhealthy")
    return bool(replica["phase"] == "exited" and not replica["restarting_wall"])


def _loops(
    client: Client, stack: str, state: dict[str, Any], told_before: set[str]
) -> Iterator[str]:
    """Yield what is to be said of replicas that crash again and again, once for each."""
    for replica in state["replicas"]:
        mark = f"crash loop of {replica['id']}"
        if replica["crash_loop"] and mark not in told_before:
            told_before.add(mark)
            yield f" {replica['id']} is in a crash loop: {in_a_row(replica)}"
            yield from last_words(client, stack, replica)


def last_words(client: Client, stack: str, replica: dict[str, Any]) -> Iterator[str]:
    """Yield what a replica that does badly was asked and said last, a line each."""
    failed = [one for one in replica["probes"] if one["code"]]
    if failed and failed[-1] is replica["probes"][-1]:
        last = failed[-1]
        ended = "took too long" if last["code"] < 0 else f"ended with {last['code']}"
        yield f"  {replica['id']} | last {last['kind']} check {ended} after {last['took']:.1f} s"
        for line in last["output"].splitlines()[:SHOWN_LINES]:
            yield f"  {replica['id']} |   {safe(line)}"
    query = {"service": replica["service"], "tail": str(SHOWN_LINES), "quoted": "1"}
    for line in client.stream("GET", f"/v1/stacks/{stack}/logs", query):
        if line["replica"] == replica["id"] and is_line(line):
            yield f"  {line['replica']} | {text_of(line)}"


def _failure(client: Client, stack: str, state: dict[str, Any]) -> PyorchError:
    lines = [f"stack `{stack}`: {state['failure']}"]
    ended = False
    for replica in state["replicas"]:
        failed = replica["phase"] == "exited" and replica["exit_code"]
        ended = ended or bool(failed)
        if failed or replica["health"] == "unhealthy" or replica["crash_loop"]:
            lines += last_words(client, stack, replica)
    hints = [one["hint"] for one in state["errors"] if one.get("hint")]
    if ended and not hints:
        hints.append("what has failed stays so; `pyorch up` runs it again")
    return PyorchError("\n".join(lines), hint="; ".join(dict.fromkeys(hints)) or None)
