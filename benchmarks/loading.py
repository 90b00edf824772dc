"""``python -m benchmarks.loading``: how long stack files take to load, and how much memory.

Each is loaded in a process of its own, which has loaded a small one before.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from orchestrator.spec.load import LoadRequest, load_stack
from orchestrator.spec.values.interpolate import interpolate

SIZES = (50, 1_000, 10_000)
TEXTS = (1, 2)
"""Megabytes of the texts that are interpolated."""
ROUNDS = 3

SERVICE = """\
  web-{n:05}:
    image: registry.example.com/team/web:{version}.2
    command: ["serve", "--port", "8080", "--id", "{n}"]
    restart: unless-stopped
    ports:
      - "127.0.0.1:{port}:8080"
      - {{target: 9090, published: "{other}", protocol: udp}}
    environment:
      MODE: production
      SHARD: "{n}"
      DATABASE_URL: postgres://db/${{DB_NAME:-app}}?pool={version}
      LOG_LEVEL: ${{LOG_LEVEL:-info}}
    labels:
      com.example.team: platform
      com.example.shard: "{n}"
    healthcheck:
      test: ["CMD", "curl", "-f", "http://localhost:8080/health"]
      interval: 10s
      timeout: 2s
      retries: 5
      start_period: 30s
    volumes:
      - data-{version}:/var/lib/app
      - {{type: bind, source: ./config, target: /etc/app, read_only: true}}
    networks: [front, back]
    depends_on: {{web-{first:05}: {{condition: service_healthy}}}}
    deploy:
      replicas: 1
      resources:
        limits: {{cpus: "0.5", memory: 256M}}
        reservations: {{cpus: "0.1", memory: 64M}}
    stop_grace_period: 5s
    cap_drop: [ALL]
    cap_add: [NET_BIND_SERVICE]
"""
FIRST = "  web-{n:05}:\n    image: registry.example.com/team/web\n"
REST = "networks:\n  front:\n  back:\nvolumes:\n" + "".join(f"  data-{n}:\n" for n in range(7))


def stack_file(services: int) -> str:
    """Return a stack file of that many services, of which each says much."""
    text = ["name: large\nservices:\n"]
    for n in range(services):
        first = n - n % 10
        form = SERVICE if n != first else FIRST
        values = {"n": n, "first": first, "version": n % 7, "port": 10_000 + n}
        text.append(form.format(**values, other=20_000 + n))
    return "".join([*text, REST])


def main() -> int:
    """Measure and print."""
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(_load(Path(sys.argv[1]))))
        return 0
    with tempfile.TemporaryDirectory(prefix="pyorch-bench-") as folder:
        small = Path(folder) / "small.yml"
        small.write_text(stack_file(2))
        for services in SIZES:
            file = Path(folder) / f"{services}.yml"
            file.write_text(stack_file(services))
            runs = [_in_a_process(file) for _ in range(ROUNDS)]
            best, memory = min(one["seconds"] for one in runs), max(one["peak"] for one in runs)
            size = file.stat().st_size / 1e6
            sys.stdout.write(
                f"{services:>6} services, {size:5.2f} MB: {best:6.3f} s, {memory / 2**20:4.0f} MB\n"
            )
    for megabytes in TEXTS:
        text = "${A:-x${B}}, " * (megabytes * 1_000_000 // 13)
        since = time.process_time()
        interpolate(text, {"B": "b"})
        took = time.process_time() - since
        sys.stdout.write(f"{megabytes} MB of variables put in: {took:6.3f} s\n")
    return 0


def _in_a_process(file: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.loading", str(file)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _load(file: Path) -> dict[str, float]:
    """Return the processor time of one load, and what the process took of memory at most."""
    load_stack(LoadRequest(files=(str(file.parent / "small.yml"),)))
    since = time.process_time()
    load_stack(LoadRequest(files=(str(file),)))
    took = time.process_time() - since
    status = Path("/proc/self/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+)", status)
    return {"seconds": took, "peak": 1024 * int(peak[1]) if peak else 0}


if __name__ == "__main__":
    sys.exit(main())
