"""``python -m benchmarks.searching``: how long it takes to find something in a large log.

Containers print it, monitors write it, and the client is asked as people ask it: each figure is
one ``pyorch logs`` from its start to its end. Once the log's files are as they were written, once
they have been compressed.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.rows import timed
from benchmarks.shelf import Shelf
from benchmarks.sides import Pyorch
from benchmarks.stacks import IMAGE
from runtime.logs.reading import LogReader, Range

ROUNDS = 5
LINE = "GET /articles/4711/comments?page=2 200 12ms user=alice agent=curl/7.88.1"
HEAD = 45
"""Bytes a monitor writes in front of a line."""
STACK = "searched"
NANO = 1_000_000_000
MOMENT = NANO // 1000
"""Nanoseconds that are looked at where a part of the log is wanted."""


def main() -> int:
    """Print, search, tell."""
    parser = argparse.ArgumentParser(prog="benchmarks.searching", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000, help="of each log, in its files")
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.stderr.write("error: benchmarks run real containers and need root\n")
        return 1
    with tempfile.TemporaryDirectory(prefix="pyorch-bench-") as name:
        folder = Path(name)
        side = Pyorch(folder, Shelf(folder))
        try:
            for packed in (False, True):
                _print_much(side, folder, args.megabytes, packed=packed)
                _search(side, _folder(folder), "compressed" if packed else "as written")
                side.run("-p", STACK, "down")
        finally:
            side.close()
    return 0


def _folder(folder: Path) -> Path:
    return folder / "data" / "logs" / STACK / "web" / "1"


def _print_much(side: Pyorch, folder: Path, megabytes: int, *, packed: bool) -> None:
    """Have a container print a log of so many megabytes, and wait until it is settled."""
    size = megabytes * 1_000_000 * (len(LINE) + 1) // (len(LINE) + 1 + HEAD)
    options = {"max-size": "20m", "max-file": "1000", "compress": str(packed).lower()}
    print_it = f"busybox yes '{LINE}' | busybox head -c {size}"
    service = {
        "image": IMAGE,
        "command": ["sh", "-c", print_it],
        "logging": {"driver": "json-file", "options": options},
    }
    file = folder / "searched.yml"
    told = {"name": STACK, "services": {"web": service}, "x-pyorch": {"logs": "0"}}
    file.write_text(json.dumps(told))
    side.run("up", "-d", "-f", str(file))
    while _state(side) != "exited":
        time.sleep(0.2)
    while packed and any(_unpacked(_folder(folder))):
        time.sleep(0.2)


def _state(side: Pyorch) -> str:
    (line,) = side.run("-p", STACK, "ps", "-a", "--format", "json").splitlines()
    state: str = json.loads(line)["State"]
    return state


def _unpacked(folder: Path) -> Iterator[Path]:
    """Yield the files that are still to be compressed: the last one never is."""
    files = sorted(folder.glob("1.*.log"), key=lambda path: int(path.name.split(".")[1]))
    yield from files[:-1]


def _search(side: Pyorch, folder: Path, how: str) -> None:
    reader = LogReader(folder)
    first = reader.begins_at() or 0
    reader.close()
    sys.stdout.write(f"\n{_size(folder) / 1e6:.0f} MB on the disk, {how}\n")
    last = _last_moment(folder)
    places = {"start": first, "middle": (first + last) // 2, "end": last - MOMENT}
    wanted = {"--tail 10": ["--tail", "10"], "--tail 10000": ["--tail", "10000"]}
    for place, at in places.items():
        since = ["--since", _seconds(at)]
        wanted[f"--since {place}, 1 ms of it"] = [*since, "--until", _seconds(at + MOMENT)]
        wanted[f"--since {place} --tail 10"] = [*since, "--tail", "10"]
    for name, words in wanted.items():
        line = ["-p", STACK, "logs", "--no-log-prefix", *words]
        found = side.run(*line).count("\n")
        took = [timed(partial(side.run, *line)) for _ in range(ROUNDS)]
        middle, longest = statistics.median(took), max(took)
        sys.stdout.write(f"{name:32} {middle:6.3f} s, at most {longest:.3f} s; {found} lines\n")


def _last_moment(folder: Path) -> int:
    """Return the moment of the last line."""
    reader = LogReader(folder, Range(tail=1))
    try:
        return max(line.at for line in reader.read())
    finally:
        reader.close()


def _seconds(at: int) -> str:
    return f"{at // NANO}.{at % NANO:09}"


def _size(folder: Path) -> int:
    return sum(os.lstat(path).st_size for path in folder.iterdir() if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
