"""``python -m benchmarks``: pyorch and, where it answers, docker compose, in turns in one run."""

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.rows import ROWS, Side
from benchmarks.sides import Docker, Pyorch, docker_answers
from benchmarks.table import render, summarise, write


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results.json")
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.stderr.write("error: benchmarks run real containers and need root\n")
        return 1
    samples: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyorch-bench-")))
        sides: list[Side] = [Pyorch(_made(folder / "pyorch"))]
        if docker_answers():
            sides.append(Docker(_made(folder / "docker")))
        for side in sides:
            stack.callback(side.close)
        for number in range(args.rounds):
            for name in args.rows:
                for side in sides:
                    sys.stderr.write(f"round {number + 1}: {name} {side.name}\n")
                    for row, seconds in ROWS[name](side).items():
                        samples.setdefault(row, {}).setdefault(side.name, []).append(seconds)
    rows = summarise(samples)
    sys.stdout.write(render(rows) + "\n")
    write(rows, args.output, rounds=args.rounds)
    return 0


def _made(folder: Path) -> Path:
    (folder / "image").mkdir(parents=True)
    return folder


if __name__ == "__main__":
    sys.exit(main())
