"""Say what became of the same tests on two kernels: counts by file, and differences by name."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Outcome = Mapping[str, Any]
"""A line of ``tests.results``: name, outcome, took, why."""

NOTHING: Outcome = {"name": "", "outcome": "not run", "took": 0, "why": ""}
BAD = ("failed", "error", "not run")
LINES = 12
"""Of a reason, half from its beginning and half from its end."""


def tell(
    names: Sequence[str], here: Mapping[str, Outcome], there: Mapping[str, Outcome]
) -> Iterator[str]:
    """Yield the lines of the whole report."""
    pairs = {name: (here.get(name, NOTHING), there.get(name, NOTHING)) for name in names}
    yield from _table(pairs)
    kinds: dict[tuple[str, str], list[str]] = {}
    for name, (one, other) in pairs.items():
        kind = (one["outcome"], other["outcome"])
        if kind != ("passed", "passed"):
            kinds.setdefault(kind, []).append(name)
    for first, second in sorted(kinds, key=_weight, reverse=True):
        found = kinds[first, second]
        yield f"{_title(first, second)}: {len(found)}"
        # What a fixture failed for is said once, of all tests that share it.
        reasons: dict[str, list[str]] = {}
        for name in found:
            one, other = pairs[name]
            reasons.setdefault(str(other["why"] or one["why"]), []).append(name)
        for reason, those in reasons.items():
            yield from (f"  {name}" for name in those)
            yield from (f"      {line}" for line in _shortened(reason))


def failed(names: Sequence[str], there: Mapping[str, Outcome]) -> bool:
    """Whether any test did something else there than pass or be skipped."""
    return any(there.get(name, NOTHING)["outcome"] in BAD for name in names)


def _table(pairs: Mapping[str, tuple[Outcome, Outcome]]) -> Iterator[str]:
    files: dict[str, tuple[Counter[str], Counter[str]]] = {}
    for name, pair in pairs.items():
        for key in (name.partition("::")[0], "all of them"):
            counts = files.setdefault(key, (Counter(), Counter()))
            for number, one in enumerate(pair):
                counts[number][one["outcome"]] += 1
    files["all of them"] = files.pop("all of them", (Counter(), Counter()))
    rows = [("", "here", "on the machine")]
    rows += [(key, _counted(one), _counted(other)) for key, (one, other) in files.items()]
    wide, middle = (max(len(row[column]) for row in rows) for column in (0, 1))
    for key, one, other in rows:
        yield f"{key:{wide}}  {one:{middle}}  {other}"


def _counted(counts: Counter[str]) -> str:
    order = ("passed", "failed", "error", "skipped", "not run")
    return ", ".join(f"{counts[word]} {word}" for word in order if counts[word])


def _weight(kind: tuple[str, str]) -> tuple[bool, bool, bool, tuple[str, str]]:
    first, second = kind
    return (second in BAD, first in BAD, first == second, kind)


def _title(first: str, second: str) -> str:
    if first == second == "skipped":
        return "MISSING, skipped in both places"
    if first == second:
        return f"{first.upper()} in both places"
    return f"DIFFERS, {first} here and {second} on the machine"


def _shortened(reason: str) -> list[str]:
    lines = [line.rstrip() for line in reason.splitlines() if line.strip()]
    if len(lines) <= LINES:
        return lines
    return [*lines[: LINES // 2], "…", *lines[-LINES // 2 :]]
