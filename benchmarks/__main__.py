"""``python -m benchmarks``: pyorch, docker compose and the bare floor, in turns in one run."""

import argparse
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.floor import Floor
from benchmarks.peer import available, engine
from benchmarks.rows import ROWS, Side
from benchmarks.shelf import Shelf
from benchmarks.sides import Docker, Pyorch
from benchmarks.table import render, summarise, write
from benchmarks.versions import read_versions
from runtime import cgroups
from runtime.oci.choice import hybrid_controllers
from runtime.syscalls import CLONE_NEWNS, MS_BIND, MS_PRIVATE, MS_REC, mount, unshare

SIDES = ("pyorch", "docker", "floor")


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--sides", nargs="*", choices=SIDES, default=SIDES)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results.json")
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.stderr.write("error: benchmarks run real containers and need root\n")
        return 1
    _show_crun_a_host_it_runs_on()
    samples: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="pyorch-bench-", ignore_cleanup_errors=True)
            )
        )
        (folder / "shelf").mkdir()
        shelf = Shelf(folder / "shelf")
        stack.callback(shelf.close)
        sides = _sides(args.sides, folder, shelf, stack)
        for side in sides:
            stack.callback(side.close)
        versions = read_versions(sides)
        for number in range(args.rounds):
            for name in args.rows:
                # Who goes first changes from round to round: a busy moment hits everybody once.
                for side in sides[number % len(sides) :] + sides[: number % len(sides)]:
                    sys.stderr.write(f"round {number + 1}: {name} {side.name}\n")
                    for row, figure in ROWS[name](side).items():
                        samples.setdefault(row, {}).setdefault(side.name, []).append(figure)
    rows = summarise(samples)
    sys.stdout.write(render(rows) + "\n")
    write(rows, args.output, rounds=args.rounds, versions=versions)
    return 0


def _show_crun_a_host_it_runs_on() -> None:
    """Hide the controllers of a hybrid host's cgroup v2, from this process and its children.

    crun runs on version 1, on version 2, and on both where version 2 has no controllers;
    hosts of the last kind are rare, and runc there would be what is measured.
    """
    if not hybrid_controllers() or not shutil.which("crun"):
        return
    unshare(CLONE_NEWNS)
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    for tree in cgroups.hierarchies():
        if not tree.controllers:
            mount("/dev/null", tree.root / "cgroup.controllers", None, MS_BIND)
    sys.stderr.write("cgroup v2 is hidden from the programs that are measured: crun needs that\n")


def _sides(names: list[str], folder: Path, shelf: Shelf, stack: ExitStack) -> list[Side]:
    sides: list[Side] = []
    for name in names:
        place = folder / name
        place.mkdir()
        if name == "pyorch":
            sides.append(Pyorch(place, shelf))
        elif name == "floor":
            sides.append(Floor(place, shelf))
        elif available():
            sides.append(Docker(stack.enter_context(engine(place)), shelf))
        else:
            sys.stderr.write("docker is left out: `make bench DOCKER=1` builds what it needs\n")
    return sides


if __name__ == "__main__":
    sys.exit(main())
