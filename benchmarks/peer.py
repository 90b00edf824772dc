"""A Docker of the benchmark's own: a Debian 13 root, in namespaces that take everything along.

Its links, its firewall rules and its processes live in namespaces, so that the host keeps
its own, and whatever ends the benchmark ends them too. The engine stops when its standard
input is closed: that happens even if the benchmark is killed.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

CACHE = Path(os.environ.get("PYORCH_BENCH_CACHE", "/var/cache/pyorch-bench"))
ROOT = CACHE / "docker-root"
CGROUP = "pyorch-bench-docker"
PATIENCE = 60.0

# dockerd needs `/` to be a mount point, and a /proc and a /sys of its own namespaces.
_OUTSIDE = """
set -eu
root="$1" state="$2" cgroup="$3"
ip link set lo up
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount --bind "$state" mnt
pivot_root . media
exec chroot . /bin/sh -c "$4" sh "$cgroup"
"""
_INSIDE = """
umount -l /media
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
dockerd --data-root /mnt/data --exec-root /run/docker --pidfile /run/docker.pid \
  -H unix:///mnt/docker.sock --cgroup-parent "/$1" >/mnt/docker.log 2>&1 &
engine=$!
read -r _
kill "$engine"
wait "$engine"
"""


class Engine:
    """A running Docker and the way to its command line."""

    def __init__(self, state: Path, init: int) -> None:
        """Talk to the engine whose first process is ``init`` on this host."""
        self.state = state
        self.init = init

    def inside(self, path: Path) -> str:
        """Return what the engine calls a file below its state directory."""
        return str(Path("/mnt") / path.relative_to(self.state))

    def words(self, *words: str) -> list[str]:
        """Return the command line for ``docker words...``."""
        return [
            "nsenter",
            f"--mount=/proc/{self.init}/ns/mnt",
            "env",
            "-i",
            "PATH=/usr/bin:/bin",
            "HOME=/root",
            "DOCKER_HOST=unix:///mnt/docker.sock",
            "docker",
            *words,
        ]

    def processes(self) -> list[int]:
        """Return the host's ids of the machinery: every process that is no container's."""
        namespace = (Path("/proc") / str(self.init) / "ns" / "pid").readlink()
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                if (folder / "ns" / "pid").readlink() == namespace:
                    found.append(int(folder.name))
        return sorted(found)


@contextlib.contextmanager
def engine(state: Path) -> Iterator[Engine]:
    """Run an engine on ``state`` for as long as the context lasts."""
    state.mkdir(parents=True, exist_ok=True)
    line = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
    line += ["--propagation", "private", "sh", "-c", _OUTSIDE, "sh"]
    process = subprocess.Popen(
        [*line, str(ROOT), str(state), CGROUP, _INSIDE], stdin=subprocess.PIPE
    )
    try:
        yield _answering(process, state)
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait()
        _remove_cgroups()
        shutil.rmtree(state, ignore_errors=True)


def available() -> bool:
    """Whether the root is there."""
    return (ROOT / "usr/sbin/dockerd").exists()


def _answering(process: "subprocess.Popen[bytes]", state: Path) -> Engine:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if children and (state / "docker.sock").exists():
            found = Engine(state, int(children[0]))
            if (
                subprocess.run(found.words("info"), capture_output=True, check=False).returncode
                == 0
            ):
                return found
        time.sleep(0.05)
    told = state / "docker.log"
    words = told.read_text().splitlines()[-1:] if told.exists() else []
    raise SystemExit(f"error: docker does not start: {' '.join(words)}")


def _remove_cgroups() -> None:
    """Remove what the engine's containers had; nothing is in there any more."""
    for tree in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
        for folder, _, _ in os.walk(tree / CGROUP, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
