"""Run the tests marked `root` here and on the machine, and say by name where the two differ.

Every result is kept as soon as it is known, under a name that stands for the checkout: a run
that was ended goes on where it stopped, and one of another checkout begins anew.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import difference
import machine

LIMIT = 6 * 3600.0
"""Seconds for one machine."""


@dataclass(slots=True)
class Results:
    """What became of tests on one kernel, in a file that only grows."""

    path: Path

    def read(self) -> dict[str, dict[str, Any]]:
        """Return every result by the test's name; of several, the worst."""
        found: dict[str, dict[str, Any]] = {}
        for line in self.path.read_text().splitlines() if self.path.exists() else ():
            one = json.loads(line)
            if one["name"] not in found or found[one["name"]]["outcome"] == "passed":
                found[one["name"]] = one
        return found

    def add(self, text: str) -> None:
        """Keep a result."""
        with self.path.open("a") as file:
            file.write(text + "\n")

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return those of ``names`` there is no result of."""
        known = self.read()
        return [name for name in names if name not in known]


def main() -> int:
    """Run what is missing in both places; return 0 where nothing failed on the machine."""
    cache = Path(sys.argv[1])
    words = sys.argv[2:]
    folder = cache / "results" / stamp()
    folder.mkdir(parents=True, exist_ok=True)
    bare = bool(os.environ.get("PYORCH_VM_BARE"))
    here, there = Results(folder / "host"), Results(folder / ("bare" if bare else "machine"))
    names = shard(collect(words), os.environ.get("SHARD", "1/1"))
    print(f"{len(names)} tests; results are kept in {folder}", flush=True)
    if left := here.missing(names):
        print(f"running {len(left)} of them here", flush=True)
        run_here(left, here)
    if left := there.missing(names):
        print(f"running {len(left)} of them on the machine", flush=True)
        run_there(left, there, cache, bare=bare)
    print(*difference.tell(names, here.read(), there.read()), sep="\n", flush=True)
    return 1 if difference.failed(names, there.read()) else 0


def stamp() -> str:
    """Return what stands for the checkout as it is now."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    ).stdout
    found = hashlib.sha256()
    for name in sorted(filter(None, names.split(b"\0"))):
        path = Path(os.fsdecode(name))
        if path.is_file() and path.suffix != ".md":
            found.update(name + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]


def collect(words: list[str]) -> list[str]:
    """Return the names of all tests marked `root`, or of those that were chosen."""
    line = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "root", *words]
    done = subprocess.run([*line, "-p", "no:randomly"], capture_output=True, text=True, check=False)
    found = [one for one in done.stdout.splitlines() if "::" in one]
    if not found:
        raise SystemExit(f"error: no tests\n{done.stdout}{done.stderr}")
    return found


def shard(names: list[str], which: str) -> list[str]:
    """Return the part of ``names`` that ``which`` asks for, as 2/4: whole files."""
    number, _, count = which.partition("/")
    files = sorted({name.partition("::")[0] for name in names})
    mine = set(files[int(number) - 1 :: int(count)])
    return [name for name in names if name.partition("::")[0] in mine]


def run_here(names: list[str], results: Results) -> None:
    """Run tests on this machine."""
    line = [sys.executable, "-m", "pytest", "-q", "-p", "tests.results", "-p", "no:randomly"]
    environment = {**os.environ, "PYORCH_RESULTS": str(results.path), "PYTHONPATH": "."}
    subprocess.run([*line, *names], env=environment, stdout=subprocess.DEVNULL, check=False)


def run_there(names: list[str], results: Results, cache: Path, *, bare: bool) -> None:
    """Run tests on the machine, and keep each result as it comes."""
    asked = cache / "asked"
    asked.write_text("\n".join(names) + "\n")
    subprocess.run(["packaging/vm/make-payload", cache, asked], check=True)
    began = time.monotonic()

    def said(line: str) -> bool:
        mark, _, text = line.partition(" ")
        if mark != "result":
            return False
        try:
            one = json.loads(text)
        except ValueError:
            return False
        results.add(text)
        print(f"{time.monotonic() - began:6.0f} {one['outcome']} {one['name']}", flush=True)
        return True

    patience = os.environ.get("PYORCH_PATIENCE")
    machine.start(
        cache,
        machine.Guest(checks="tests", limit=LIMIT, patience=patience, bare=bare, said=said),
    )


if __name__ == "__main__":
    sys.exit(main())
