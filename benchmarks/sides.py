"""The programs that are compared: pyorch in an instance of its own, and docker compose."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measures import is_called, processes_of, running
from benchmarks.peer import CGROUP, Engine
from benchmarks.shelf import Shelf
from benchmarks.stacks import IMAGE, make_image, write_checked, write_stack


class Pyorch:
    """pyorch, warm: its daemon runs and has the image."""

    name = "pyorch"
    runs = "bench"
    """The instance: part of the names of everything it makes on the host."""

    def __init__(self, folder: Path, shelf: Shelf) -> None:
        """Start an instance of its own below ``folder``; what is pulled is on ``shelf``."""
        self._folder = folder
        self._shelf = shelf
        self._environment = {
            **os.environ,
            "PYORCH_INSTANCE": self.runs,
            "PYORCH_DATA": str(folder / "data"),
            "PYORCH_RUN": str(folder / "run"),
        }
        self._program = str(Path(sys.executable).parent / "pyorch")
        self.run("image", "import", str(make_image(folder)), IMAGE)

    def up(self, count: int) -> None:
        """Bring the stack up detached, or find it up already."""
        self.run("up", "-d", "-f", str(write_stack(self._folder, count)))

    def ps(self, count: int) -> None:
        """List it."""
        self.run("-p", f"bench{count}", "ps")

    def down(self, count: int) -> None:
        """Take it away, killing at once."""
        self.run("-p", f"bench{count}", "down", "-t", "0")

    def prepare_pull(self) -> None:
        """Have a registry answer."""
        self._shelf.serve()

    def pull(self) -> None:
        """Pull the large image."""
        self.run("image", "pull", "-q", self._shelf.image)

    def forget(self) -> None:
        """Remove it with everything of it."""
        self.run("image", "rm", self._shelf.image)
        self.run("image", "prune")

    def process(self, count: int, number: int) -> int:
        """Return the host's id of a service's process; 0 while there is none."""
        return running(f"pyorch-{self.runs}/bench{count}/s{number}.1")

    def revive(self, number: int) -> None:
        """Nothing: it comes back by itself."""

    def begin_checked(self) -> None:
        """Have a service with a healthcheck run, and be well."""
        self.run("up", "-d", "--wait", "-f", str(write_checked(self._folder)))

    def checked(self) -> int:
        """Return the host's id of its process; 0 while there is none."""
        return running(f"pyorch-{self.runs}/benchill/s0.1")

    def end_checked(self) -> None:
        """Take it away."""
        self.run("-p", "benchill", "down", "-t", "0")

    def machinery(self) -> tuple[int, list[int]]:
        """Return the daemon, and everything that runs besides the containers' processes."""
        daemon = int((self._folder / "data" / "daemon.lock").read_text())
        return daemon, [daemon, *processes_of(str(self._folder))]

    def close(self) -> None:
        """Leave nothing behind."""
        for line in self.run("ls").splitlines()[1:]:
            self.run("-p", line.split()[0], "down", "-v", "-t", "0")
        self.run("daemon", "stop")

    def run(self, *words: str) -> str:
        """Run a command of its client, and return what it prints."""
        return command([self._program, *words], self._environment)


class Docker:
    """docker compose, against an engine of the benchmark's own."""

    name = "docker"

    def __init__(self, engine: Engine, shelf: Shelf) -> None:
        """Import the image into the engine; what is pulled is on ``shelf``."""
        self._engine = engine
        self._shelf = shelf
        self._ids: dict[tuple[int, int], str] = {}
        tarball = make_image(engine.state)
        command(engine.words("import", engine.inside(tarball), IMAGE))

    def up(self, count: int) -> None:
        """Bring the stack up detached, or find it up already."""
        self._ids.clear()
        self._compose(count, "up", "-d")

    def ps(self, count: int) -> None:
        """List it."""
        self._compose(count, "ps")

    def down(self, count: int) -> None:
        """Take it away, killing at once."""
        self._compose(count, "down", "-t", "0")

    def prepare_pull(self) -> None:
        """Have a registry answer in the engine's own network."""
        self._shelf.serve(["nsenter", f"--net=/proc/{self._engine.init}/ns/net"])

    def pull(self) -> None:
        """Pull the large image."""
        command(self._engine.words("pull", "-q", self._shelf.image))

    def forget(self) -> None:
        """Remove it with everything of it."""
        command(self._engine.words("rmi", self._shelf.image))

    def process(self, count: int, number: int) -> int:
        """Return the host's id of a service's process; 0 while there is none."""
        if (count, number) not in self._ids:
            asked = self._engine.words("inspect", "-f", "{{.Id}}", f"bench{count}-s{number}-1")
            self._ids[count, number] = command(asked).strip()
        return running(f"{CGROUP}/{self._ids[count, number]}")

    def revive(self, number: int) -> None:
        """Nothing: it comes back by itself."""

    def machinery(self) -> tuple[int, list[int]]:
        """Return the daemon, and everything that runs besides the containers' processes."""
        found = self._engine.processes()
        return next(pid for pid in found if is_called(pid, "dockerd")), found

    def versions(self) -> dict[str, str]:
        """Return the versions of the engine, of compose, and of the runtime they use."""
        form = "{{.Server.Version}}\n{{range .Server.Components}}{{.Name}} {{.Version}}\n{{end}}"
        engine, *parts = command(self._engine.words("version", "-f", form)).splitlines()
        runtime = next((one.split()[1] for one in parts if one.startswith("runc ")), "")
        compose = command(self._engine.words("compose", "version", "--short"))
        return {"docker": engine, "compose": compose.strip(), "docker_runc": runtime}

    def close(self) -> None:
        """Nothing: whatever is left ends with the engine."""

    def _compose(self, count: int, *words: str) -> None:
        path = self._engine.inside(write_stack(self._engine.state, count))
        command(self._engine.words("compose", "-f", path, *words))


def command(words: Sequence[str], environment: dict[str, str] | None = None) -> str:
    """Run a command that must succeed and return what it printed."""
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(words)}: {done.stderr.strip()[-500:]}")
    return done.stdout
