"""The table people read, and the same as JSON."""

import datetime
import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.rows import TARGETS
from orchestrator import __version__

Samples = Mapping[str, Mapping[str, Sequence[float]]]
"""Row → side → seconds, one a round."""


def summarise(samples: Samples) -> list[dict[str, object]]:
    """Return a row's medians, ratio, target and whether it was met (None: cannot be said)."""
    rows: list[dict[str, object]] = []
    for name, sides in samples.items():
        medians = {side: statistics.median(values) for side, values in sides.items()}
        ours, theirs = medians.get("pyorch"), medians.get("docker")
        ratio = theirs / ours if ours and theirs else None
        kind, target = TARGETS.get(name, ("", 0.0))
        limits = {"docker": f">= {target:g}x", "seconds": f"<= {target:g} s"}
        met = None
        if kind == "docker" and ratio is not None:
            met = ratio >= target
        elif kind == "seconds" and ours is not None:
            met = ours <= target
        rows.append(
            {
                "name": name,
                "pyorch": ours,
                "docker": theirs,
                "ratio": ratio,
                "target": limits.get(kind, ""),
                "met": met,
            }
        )
    return rows


def render(rows: Sequence[Mapping[str, object]]) -> str:
    """Return the rows as a table."""
    lines = [f"{'what':32}{'pyorch':>10}{'docker':>10}{'ratio':>9}{'target':>12}  met"]
    for row in rows:
        cells = [
            f"{value:.3f} s" if isinstance(value, float) else "-"
            for value in (row["pyorch"], row["docker"])
        ]
        ratio = f"{row['ratio']:.1f}x" if isinstance(row["ratio"], float) else "-"
        met = "-" if row["met"] is None else "yes" if row["met"] else "no"
        lines.append(
            f"{row['name']!s:32}{cells[0]:>10}{cells[1]:>10}{ratio:>9}{row['target']!s:>12}  {met}"
        )
    return "\n".join(lines)


def write(rows: Sequence[Mapping[str, object]], path: Path, *, rounds: int) -> None:
    """Write the rows, and on what they were measured."""
    document = {
        "date": datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
        "machine": {
            "kernel": platform.release(),
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
        },
        "versions": {"pyorch": __version__},
        "rounds": rounds,
        "rows": list(rows),
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
