"""The table people read, and the same as JSON."""

import datetime
import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.rows import TARGETS, UNITS, Target

Samples = Mapping[str, Mapping[str, Sequence[float]]]
"""Row → side → figures, one a round."""


def summarise(samples: Samples) -> list[dict[str, object]]:
    """Return each row's medians, ratios, target and whether it was met (None: cannot be said)."""
    rows: list[dict[str, object]] = []
    for name, sides in samples.items():
        medians = {side: statistics.median(values) for side, values in sides.items()}
        ours, theirs, floor = (medians.get(side) for side in ("pyorch", "docker", "floor"))
        target = TARGETS.get(name, Target())
        rows.append(
            {
                "name": name,
                "unit": UNITS.get(name, "s"),
                "pyorch": ours,
                "docker": theirs,
                "floor": floor,
                "ratio": theirs / ours if ours and theirs else None,
                "floor_ratio": ours / floor if ours and floor else None,
                "target": _words(target, UNITS.get(name, "s")),
                "met": _met(target, ours, theirs, floor),
                "samples": {side: list(values) for side, values in sides.items()},
            }
        )
    return rows


def render(rows: Sequence[Mapping[str, object]]) -> str:
    """Return the rows as a table."""
    lines = [
        f"{'what':30}{'pyorch':>10}{'docker':>10}{'floor':>10}"
        f"{'docker/':>9}{'/floor':>8}  {'target':32}met"
    ]
    for row in rows:
        cells = [_figure(row[side], str(row["unit"])) for side in ("pyorch", "docker", "floor")]
        ratios = [_times(row["ratio"]), _times(row["floor_ratio"])]
        met = {None: "-", True: "yes", False: "no"}[row["met"]]  # type: ignore[index]
        lines.append(
            f"{row['name']!s:30}{cells[0]:>10}{cells[1]:>10}{cells[2]:>10}"
            f"{ratios[0]:>9}{ratios[1]:>8}  {row['target']!s:32}{met}"
        )
    return "\n".join(lines)


def write(
    rows: Sequence[Mapping[str, object]],
    path: Path,
    *,
    rounds: int,
    versions: Mapping[str, str],
) -> None:
    """Write the rows, and on what they were measured."""
    document = {
        "date": datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
        "machine": {
            "kernel": platform.release(),
            "cpus": os.cpu_count(),
            "processor": _processor(),
            "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
            "load": os.getloadavg()[2],
        },
        "versions": dict(versions),
        "rounds": rounds,
        "rows": list(rows),
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def _met(
    target: Target, ours: float | None, theirs: float | None, floor: float | None
) -> bool | None:
    checks = []
    for limit, figure, is_least in (
        (target.docker, _ratio(theirs, ours), True),
        (target.floor, _ratio(ours, floor), False),
        (target.at_most, ours, False),
    ):
        if limit is None:
            continue
        if figure is None:
            return None
        checks.append(figure >= limit if is_least else figure <= limit)
    return all(checks) if checks else None


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one / other


def _words(target: Target, unit: str) -> str:
    words = []
    if target.docker is not None:
        words.append(f">= {target.docker:g}x docker")
    if target.floor is not None:
        words.append(f"<= {target.floor:g}x floor")
    if target.at_most is not None:
        words.append(f"<= {target.at_most:g} {unit}")
    return ", ".join(words)


def _figure(value: object, unit: str) -> str:
    if not isinstance(value, float):
        return "-"
    return f"{value:.3f} s" if unit == "s" else f"{value:.2f} {unit}"


def _times(value: object) -> str:
    return f"{value:.1f}x" if isinstance(value, float) else "-"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
