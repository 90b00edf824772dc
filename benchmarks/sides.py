"""The programs that are compared: pyorch in an instance of its own, and docker where it runs."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
IMAGE = "bench/sleep"


def make_image(folder: Path) -> Path:
    """Write the root filesystem of an image that can sleep."""
    root = folder / "rootfs"
    (root / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin" / "busybox")
    for applet in ("sleep", "sh"):
        (root / "bin" / applet).symlink_to("busybox")
    tarball = folder / "image.tar"
    with tarfile.open(tarball, "w") as archive:
        archive.add(root, arcname=".")
    return tarball


def write_stack(folder: Path, count: int) -> Path:
    """Write a stack of ``count`` sleeping services on one network."""
    service = {"image": IMAGE, "command": ["sleep", "1000000"], "restart": "always"}
    path = folder / f"bench{count}.yml"
    path.write_text(
        json.dumps(
            {
                "name": f"bench{count}",
                "services": {f"s{number}": service for number in range(count)},
            }
        )
    )
    return path


class Pyorch:
    """pyorch, warm: its daemon runs and has the image."""

    name = "pyorch"

    def __init__(self, folder: Path) -> None:
        """Start an instance of its own below ``folder``."""
        self._folder = folder
        self._environment = {
            **os.environ,
            "PYORCH_INSTANCE": "bench",
            "PYORCH_DATA": str(folder / "data"),
            "PYORCH_RUN": str(folder / "run"),
        }
        self._program = str(Path(sys.executable).parent / "pyorch")
        self._run("image", "import", str(make_image(folder / "image")), IMAGE)

    def up(self, count: int) -> None:
        """Bring the stack up detached, or find it up already."""
        self._run("up", "-d", "-f", str(write_stack(self._folder, count)))

    def ps(self, count: int) -> None:
        """List it."""
        self._run("-p", f"bench{count}", "ps")

    def down(self, count: int) -> None:
        """Take it away, killing at once."""
        self._run("-p", f"bench{count}", "down", "-t", "0")

    def process(self, count: int) -> int:
        """Return the host's id of the first service's process; 0 while there is none."""
        return first_process(f"/pyorch-bench/bench{count}/s0.1")

    def close(self) -> None:
        """Leave nothing behind."""
        for line in self._run("ls").splitlines()[1:]:
            self._run("-p", line.split()[0], "down", "-v", "-t", "0")
        self._run("daemon", "stop")

    def _run(self, *words: str) -> str:
        return command([self._program, *words], self._environment)


class Docker:
    """docker compose, against the engine that ``docker`` talks to here."""

    name = "docker"

    def __init__(self, folder: Path) -> None:
        """Import the image into the engine."""
        self._folder = folder
        command(["docker", "import", str(make_image(folder / "image")), IMAGE])

    def up(self, count: int) -> None:
        """Bring the stack up detached, or find it up already."""
        self._compose(count, "up", "-d")

    def ps(self, count: int) -> None:
        """List it."""
        self._compose(count, "ps")

    def down(self, count: int) -> None:
        """Take it away, killing at once."""
        self._compose(count, "down", "-t", "0")

    def process(self, count: int) -> int:
        """Return the host's id of the first service's process; 0 while there is none."""
        name = f"bench{count}-s0-1"
        found = command(["docker", "inspect", "-f", "{{.State.Pid}}", name])
        return int(found.strip() or 0)

    def close(self) -> None:
        """Leave nothing behind."""
        command(["docker", "image", "rm", "-f", IMAGE])

    def _compose(self, count: int, *words: str) -> None:
        path = write_stack(self._folder, count)
        command(["docker", "compose", "-f", str(path), *words])


def docker_answers() -> bool:
    """Whether docker compose and its engine can be used here."""
    if not shutil.which("docker"):
        return False
    for words in (["docker", "info"], ["docker", "compose", "version"]):
        if subprocess.run(words, capture_output=True, check=False).returncode:
            return False
    return True


def command(words: Sequence[str], environment: dict[str, str] | None = None) -> str:
    """Run a command that must succeed and return what it printed."""
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(words)}: {done.stderr.strip()[-500:]}")
    return done.stdout


def first_process(cgroup: str) -> int:
    """Return the lowest process id in a cgroup of this name; 0 where there is none."""
    for hierarchy in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/pids")):
        try:
            found = (hierarchy / cgroup[1:] / "cgroup.procs").read_text().split()
        except OSError:
            continue
        if found:
            return min(map(int, found))
    return 0
