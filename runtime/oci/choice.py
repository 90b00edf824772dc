"""Which OCI runtime makes containers on this host."""

import os
import shutil

from runtime import cgroups
from runtime.errors import UnsupportedError

PROGRAMS = {
    "crun": "crun",
    "runc": "runc",
    "youki": "youki",
    "runsc": "runsc",
    "kata": "kata-runtime",
    "kata-runtime": "kata-runtime",
    "krun": "krun",
    "nvidia": "nvidia-container-runtime",
    "io.containerd.runc.v2": "runc",
}
"""What runtimes are called, and the program of each."""


def choose_runtime() -> tuple[str, str]:
    """Return the runtime to use here, and one sentence where it is not crun.

    Raises UnsupportedError where none can be used.
    """
    if shutil.which("crun"):
        blocked = hybrid_controllers()
        if not blocked:
            return "crun", ""
        if shutil.which("runc"):
            return "runc", f"{_why_not_crun(blocked)}, so runc is used"
    if shutil.which("runc"):
        return "runc", "crun is not installed, so runc is used"
    raise UnsupportedError(
        "run containers on",
        "this host",
        "neither crun nor runc is installed or usable",
        hint="apt-get install crun runc",
    )


def find_runtime(name: str) -> str:
    """Return the path of the runtime ``name``, which may be a path itself.

    Raises UnsupportedError for one that is not here or cannot run here.
    """
    verb = "use runtime"
    if name.startswith("/"):
        if not os.access(name, os.X_OK) or os.path.isdir(name):
            raise UnsupportedError(verb, name, "there is no such program")
        return name
    if name not in PROGRAMS:
        hint = f"write one of {', '.join(PROGRAMS)}, or the absolute path of a program"
        raise UnsupportedError(verb, name, "nobody knows a runtime of this name", hint=hint)
    found = shutil.which(PROGRAMS[name])
    if found is None:
        here = ", ".join(one for one, program in PROGRAMS.items() if shutil.which(program))
        hint = f"leave it out, or use what is installed: {here or 'nothing'}"
        raise UnsupportedError(verb, name, "it is not installed", hint=hint)
    if PROGRAMS[name] == "crun" and (blocked := hybrid_controllers()):
        raise UnsupportedError(verb, name, _why_not_crun(blocked), hint="use runc")
    return found


def hybrid_controllers() -> tuple[str, ...]:
    """Return the controllers version 2 holds on a hybrid host: crun refuses to run then."""
    if cgroups.mode() is not cgroups.Mode.HYBRID:
        return ()
    unified = next(tree for tree in cgroups.hierarchies() if not tree.controllers)
    return tuple((unified.root / "cgroup.controllers").read_text().split())


def _why_not_crun(blocked: tuple[str, ...]) -> str:
    held = ", ".join(blocked)
    return f"crun cannot run here because cgroup v2 still holds {held} beside cgroup v1"
