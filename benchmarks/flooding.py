"""``python -m benchmarks.flooding``: what a container that prints without end costs the daemon.

It prints about 100 MB/s; its log is kept in files, and sent on to a receiver that takes
everything. Figures are processor time of the daemon, of one core.
"""

import argparse
import json
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measures import processor_time
from benchmarks.shelf import Shelf
from benchmarks.sides import Pyorch
from benchmarks.stacks import IMAGE

STACK = "flood"
LINE = "GET /articles/4711/comments?page=2 200 12ms user=alice agent=curl/7.88.1"
BLOCK = 4_000_000
PAUSE = 0.03
"""Seconds between two blocks: with what it takes to print one, that is about 100 MB/s."""
BEGUN = 12.0
"""Seconds after which it is known that more is printed than can be sent."""


def main() -> int:
    """Flood, watch, tell."""
    parser = argparse.ArgumentParser(prog="benchmarks.flooding", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.stderr.write("error: benchmarks run real containers and need root\n")
        return 1
    with tempfile.TemporaryDirectory(prefix="pyorch-bench-") as name:
        folder = Path(name)
        journal = folder / "journal"
        os.environ["PYORCH_JOURNAL"] = str(journal)
        port = _take_all(journal)
        side = Pyorch(folder, Shelf(folder))
        address = {"syslog-address": f"tcp://127.0.0.1:{port}", "syslog-format": "rfc5424"}
        try:
            for driver, options in {"json-file": {}, "syslog": address, "journald": {}}.items():
                used, printed = _flood(side, folder, {"driver": driver, "options": options}, args)
                sys.stdout.write(f"{driver:10} {used:5.1f} % of a core at {printed:4.0f} MB/s\n")
        finally:
            side.close()
    return 0


def _flood(
    side: Pyorch, folder: Path, logging: dict[str, object], args: argparse.Namespace
) -> tuple[float, float]:
    """Return the daemon's share of a core, in percent, and how many megabytes a second came."""
    make = f"busybox yes '{LINE}' | busybox head -c {BLOCK} > /block"
    flood = f"{make}; while :; do busybox cat /block; sleep {PAUSE}; done"
    service = {"image": IMAGE, "command": ["sh", "-c", flood], "logging": logging}
    file = folder / "flood.yml"
    file.write_text(json.dumps({"name": STACK, "services": {"web": service}}))
    side.run("up", "-d", "-f", str(file))
    try:
        daemon, everything = side.machinery()
        monitors = [pid for pid in everything if pid != daemon]
        time.sleep(BEGUN)
        before, bytes_before, start = processor_time([daemon]), _written(monitors), time.time()
        time.sleep(args.seconds)
        took = time.time() - start
        used = (processor_time([daemon]) - before) / took * 100
        return used, (_written(monitors) - bytes_before) / took / 1e6
    finally:
        side.run("-p", STACK, "down", "-t", "0")


def _written(processes: list[int]) -> int:
    """Return how many bytes processes have written (proc(5), io)."""
    total = 0
    for pid in processes:
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("wchar: "):
                total += int(line.removeprefix("wchar: "))
    return total


def _take_all(journal: Path) -> int:
    """Have processes take everything that is sent to a port, which is returned, and to a path."""
    listener = socket.create_server(("127.0.0.1", 0))
    entries = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    entries.bind(str(journal))
    for take, sock in ((_take_stream, listener), (_take_datagrams, entries)):
        multiprocessing.Process(target=take, args=(sock,), daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def _take_stream(listener: socket.socket) -> None:
    while True:
        sock, _ = listener.accept()
        with sock:
            while sock.recv(1024 * 1024):
                pass


def _take_datagrams(entries: socket.socket) -> None:
    while True:
        entries.recv(70_000)


if __name__ == "__main__":
    sys.exit(main())
