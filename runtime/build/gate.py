"""Stands before the OCI runtime of a build and looks at what a step is to have mounted.

A program of its own that the builder runs in the place of the runtime. The builder joins paths
of a Dockerfile to folders and leaves it to the kernel to follow them: where a stage's link, or
a ``..``, led out of the folder that was named, the step is refused. By then the builder has
mounted what it found once more; only the kernel's table of mounts says where it came from.
Standard library only.
"""

import json
import os
import re
import sys
from typing import NamedTuple

RUNTIME = "PYORCH_BUILD_RUNTIME"
"""Variable with the path of the runtime that does the work."""
TEMPORARY = "/var/tmp"
CACHES = ("buildah-cache", "buildah-cache-0")
"""What the builder keeps of ``--mount=type=cache`` below TEMPORARY, older and newer ones."""
CONTAINERS = "/storage/overlay-containers"
CONTEXTS = "/context"
STAGE = re.compile(r"/storage/overlay/[0-9a-f]{64}/merged")
AGENT = re.compile(r"/\.buildah-ssh-sock[^/]+/.+")
"""Sockets the builder answers on for keys it was given, in its temporary folder."""
OWN = re.compile(r"/[0-9a-f]{64}/userdata/.+")
"""What the builder makes for a step, below CONTAINERS: secrets, and volumes of the image."""


class Origin(NamedTuple):
    """Where files are kept: a filesystem, and the path in it."""

    device: str
    path: str

    def below(self, home: "Origin") -> str | None:
        """Return the path from ``home`` to it, which begins with a slash; None from elsewhere."""
        if self.device != home.device:
            return None
        if home.path == "/":
            return self.path
        rest = self.path.removeprefix(home.path)
        return rest if self.path.startswith(home.path) and rest[:1] in ("", "/") else None


class Mounts:
    """What is mounted where, as the kernel says (proc(5), mountinfo)."""

    def __init__(self, table: str) -> None:
        self._by_point: dict[str, Origin] = {}
        for line in table.split("\n")[:-1]:
            _, _, device, path, point, *_ = line.split(" ")
            # The last of several on one place is the one that is seen.
            self._by_point[_plain(point)] = Origin(device, _plain(path))

    def origin(self, path: str) -> Origin:
        """Return where a path leads, links followed."""
        real = os.path.realpath(path)
        point = real
        while point not in self._by_point:
            point = os.path.dirname(point)
        found = self._by_point[point]
        return Origin(
            found.device, os.path.normpath(found.path + "/" + os.path.relpath(real, point))
        )

    def stages(self) -> list[Origin]:
        """Return the roots of the stages at work."""
        return [one for point, one in self._by_point.items() if STAGE.fullmatch(point)]


def _plain(word: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), word)


def may_have(mounts: Mounts, source: str, bundle: str) -> bool:
    """Whether a step may have ``source``: something of a stage, a context, a cache, or its own."""
    origin = mounts.origin(source)
    if any(origin.below(stage) is not None for stage in mounts.stages()):
        return True
    contexts = [f"{CONTEXTS}/{name}" for name in os.listdir(CONTEXTS)]
    if any(origin.below(mounts.origin(home)) is not None for home in contexts):
        return True
    caches = [f"{TEMPORARY}/{name}" for name in CACHES]
    if any(origin.below(mounts.origin(home)) for home in (*caches, bundle)):
        return True
    kept = origin.below(mounts.origin(CONTAINERS)) or ""
    made = origin.below(mounts.origin(TEMPORARY)) or ""
    return bool(OWN.fullmatch(kept) or AGENT.fullmatch(made))


def check(bundle: str) -> str | None:
    """Return why a step is not to be run, or None where nothing speaks against it."""
    with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    with open("/proc/self/mountinfo", "rb") as table:
        mounts = Mounts(table.read().decode(errors="surrogateescape"))
    for mount in config.get("mounts") or ():
        options, source = mount.get("options") or (), mount.get("source") or ""
        bound = mount.get("type") == "bind" or "bind" in options or "rbind" in options
        if bound and not may_have(mounts, source, bundle):
            return f"what is to be mounted on {mount.get('destination')} is outside of the build"
    return None


def main(words: list[str]) -> int:
    """Run the runtime named by the environment, unless there is a reason not to."""
    if "create" in words:
        reason = check(words[words.index("--bundle") + 1])
        if reason is not None:
            sys.stderr.write(f"refused: {reason}\n")
            return 1
    runtime = os.environ[RUNTIME]
    os.execv(runtime, [runtime, *words])
    raise AssertionError("it was replaced by the runtime")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
