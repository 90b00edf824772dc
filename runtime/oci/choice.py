"""Which OCI runtime makes containers on this host."""

import shutil

from runtime import cgroups
from runtime.errors import UnsupportedError


def choose_runtime() -> tuple[str, str]:
    """Return the runtime to use here, and one sentence where it is not crun.

    Raises UnsupportedError where none can be used.
    """
    if shutil.which("crun"):
        blocked = hybrid_controllers()
        if not blocked:
            return "crun", ""
        if shutil.which("runc"):
            return "runc", (
                f"crun cannot run here because cgroup v2 still holds {', '.join(blocked)}"
                " beside cgroup v1, so runc is used"
            )
    if shutil.which("runc"):
        return "runc", "crun is not installed, so runc is used"
    raise UnsupportedError(
        "run containers on",
        "this host",
        "neither crun nor runc is installed or usable",
        hint="apt-get install crun runc",
    )


def hybrid_controllers() -> tuple[str, ...]:
    """Return the controllers version 2 holds on a hybrid host: crun refuses to run then."""
    if cgroups.mode() is not cgroups.Mode.HYBRID:
        return ()
    unified = next(tree for tree in cgroups.hierarchies() if not tree.controllers)
    return tuple((unified.root / "cgroup.controllers").read_text().split())
