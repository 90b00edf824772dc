"""Tables and words for a terminal. stdout is data, stderr is talk."""

import os
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

COLOURS = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows under a head, in columns."""
    lines = [list(head), *(list(map(safe, row)) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def status(replica: dict[str, Any]) -> str:
    """Return a replica's state in the words people know from `docker ps`."""
    match replica["phase"]:
        case "running":
            since = replica.get("started_wall") or time.time()
            health = "" if replica["health"] == "none" else f" ({replica['health']})"
            if replica["paused"]:
                health = " (Paused)"
            if replica["given_up"]:
                health += f", given up: {replica['given_up']}"
            elif replica["crash_loop"]:
                health += f" (crash loop: {in_a_row(replica)})"
            return f"Up {ago(time.time() - since)}{health}"
        case "exited" if replica["restarting_wall"]:
            why = f", {replica['why']}" if replica["why"] else ""
            pause = ago(replica["restarting_wall"] - time.time())
            row = f", crash loop: {in_a_row(replica)}" if replica["crash_loop"] else ""
            return f"Restarting ({replica['exit_code']}) in {pause}{why}{row}"
        case "exited" if replica["given_up"]:
            return f"Exited ({replica['exit_code']}), given up: {replica['given_up']}"
        case "exited":
            why = f", {replica['why']}" if replica["why"] else ""
            return f"Exited ({replica['exit_code']}){why}"
        case other:
            return str(other).capitalize()


def in_a_row(replica: dict[str, Any]) -> str:
    """Return how often a replica was restarted without a rest, and how its runs ended."""
    codes = ", ".join(map(str, replica["last_codes"]))
    return f"{replica['attempts']} restarts in a row, last exit codes {codes}"


def state(replica: dict[str, Any]) -> str:
    """Return a replica's state in one word, as `docker ps` has it."""
    if replica["paused"]:
        return "paused"
    return "restarting" if replica["restarting_wall"] else str(replica["phase"])


def ago(seconds: float) -> str:
    """Return a duration as a person would say it."""
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {word}s"
    count = max(int(seconds), 0)
    return f"{count} second{'' if count == 1 else 's'}"


def size(count: int) -> str:
    """Return bytes in units people read."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f}{unit}" if unit == "B" else f"{value:.1f}{unit}"
        value /= 1000
    return f"{value:.1f}TB"


def safe(text: str) -> str:
    """Return text that can do nothing to a terminal."""
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in text)


def colours_wanted() -> bool:
    """Whether stdout is a terminal whose owner did not ask for plain text."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def say(text: str) -> None:
    """Tell the person at the terminal something that is not data."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
