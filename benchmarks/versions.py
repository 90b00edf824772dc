"""Which versions of everything were measured."""

import contextlib
import platform
import subprocess
from collections.abc import Sequence

from benchmarks.rows import Side
from benchmarks.sides import Docker
from orchestrator import __version__
from runtime.oci import choose_runtime


def read_versions(sides: Sequence[Side]) -> dict[str, str]:
    """Return the version of every program that took part."""
    found = {"pyorch": __version__, "kernel": platform.release()}
    found["python"] = platform.python_version()
    found["runtime"] = choose_runtime()[0]
    for name in ("crun", "runc", "conmon"):
        with contextlib.suppress(FileNotFoundError):
            found[name] = _first_line([name, "--version"])
    for side in sides:
        if isinstance(side, Docker):
            found |= side.versions()
    return found


def _first_line(words: Sequence[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip().partition("\n")[0].rpartition("version ")[2]
