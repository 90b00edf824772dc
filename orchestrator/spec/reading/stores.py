"""What a stack file calls `external`: contents somebody else keeps, got by who typed the command.

Three kinds of store, by the secret's `driver`: a file of this machine, a variable, and a program
that prints it. Everything is read with the rights of that person, and what was read is never part
of a message.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrator.spec.problems import SpecError
from orchestrator.spec.reading.files import read_bytes
from orchestrator.spec.values.shellwords import split

DRIVERS: Mapping[str, tuple[str, ...]] = {
    "": (),
    "file": ("path",),
    "env": ("variable",),
    "cmd": ("command",),
}
"""Stores, and the options each takes. Without a driver it is a file in its usual place."""
MOST = 1024 * 1024
"""Bytes a program may print."""
PATIENCE = 60.0
"""Seconds a program may take, and whoever it asks in between."""


class StoreError(Exception):
    """A store does not have it; ``hint`` says what to do."""

    def __init__(self, cause: str, hint: str | None = None) -> None:
        super().__init__(cause)
        self.hint = hint


def places(kind: str, name: str, environ: Mapping[str, str]) -> tuple[Path, Path]:
    """Return where contents are kept on this machine: the person's own place, then everybody's."""
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", "/"), ".config")
    return Path(home, "pyorch", kind, name), Path("/etc/pyorch", kind, name)


def fetch(
    kind: str,
    name: str,
    driver: str,
    options: Mapping[str, str],
    *,
    environ: Mapping[str, str],
    directory: Path,
    reads: Callable[[Path], None],
) -> bytes:
    """Return what a store holds under ``name``; ``reads`` is told of every file looked for.

    Raises StoreError.
    """
    if driver not in DRIVERS:
        known = ", ".join(one for one in DRIVERS if one)
        raise StoreError(f"there is no driver `{driver}`", f"there are {known}")
    for option in options:
        if option not in DRIVERS[driver]:
            known = ", ".join(DRIVERS[driver]) or "none"
            raise StoreError(f"`{option}` is no option of it", f"its options: {known}")
    match driver:
        case "env":
            return _variable(options.get("variable", name), environ)
        case "cmd":
            return _printed(options.get("command", ""), environ, directory)
        case _:
            return _file(kind, name, options.get("path", ""), environ, directory, reads)


def _file(
    kind: str,
    name: str,
    given: str,
    environ: Mapping[str, str],
    directory: Path,
    reads: Callable[[Path], None],
) -> bytes:
    if not given and (not name or "/" in name or name in (".", "..")):
        raise StoreError(f"`{name}` is no name of a file", "give another `name`")
    expanded = given.replace("~", environ.get("HOME", "~"), 1) if given[:1] == "~" else given
    candidates = (directory / expanded,) if given else places(kind, name, environ)
    for path in candidates:
        reads(path)
        try:
            return read_bytes(path)
        except SpecError as error:
            if path.exists():
                raise StoreError(f"`{path}`: {error.problems[0].cause}", error.hint) from None
    raise StoreError(
        f"nobody keeps it: there is no `{candidates[0]}`",
        f"put it there, readable by you alone (`install -m 600 /dev/stdin {candidates[0]}`)",
    )


def _variable(name: str, environ: Mapping[str, str]) -> bytes:
    if name not in environ:
        raise StoreError(f"the variable `{name}` is not set", "set it where you type the command")
    return environ[name].encode()


def _printed(command: str, environ: Mapping[str, str], directory: Path) -> bytes:
    import subprocess  # slow to import, and rarely needed

    argv = split(command)[0]
    if not argv:
        raise StoreError("`driver_opts.command` is missing", "write the program and its words")
    try:
        # Its own words go to the terminal; a password it asks for comes from there.
        done = subprocess.run(
            argv, cwd=directory, env=dict(environ), stdout=subprocess.PIPE, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise StoreError(f"`{argv[0]}` took longer than {PATIENCE:g} s") from None
    except OSError as error:
        raise StoreError(f"`{argv[0]}` cannot be run: {error.strerror}") from None
    if done.returncode != 0:
        raise StoreError(f"`{argv[0]}` ended with {done.returncode}", "run it by hand to see why")
    if len(done.stdout) > MOST:
        raise StoreError(f"`{argv[0]}` printed more than {MOST} bytes")
    return done.stdout
