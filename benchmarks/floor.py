"""The floor: a bare loop that has the kernel do the same work, and remembers nothing.

A namespace, a link into a bridge, an overlay, conmon, and the runtime's create and start
for each container, many at once. Whoever keeps records and takes decisions is slower.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.measures import running
from benchmarks.shelf import Shelf
from benchmarks.stacks import COMMAND, make_rootfs
from runtime import cgroups
from runtime.network import netns
from runtime.oci import choose_runtime
from runtime.oci.bundle import build_bundle
from runtime.oci.rootfs import mount_root, unmount_root
from runtime.oci.users import ResolvedUser
from runtime.types import ContainerConfig, ContainerId, Digest, ImageConfig

BRIDGE = "pyobench0"
GROUP = "pyorch-bench-floor"
AT_ONCE = 50
UNPACKING_AT_ONCE = 2


class Floor:
    """The bare loop."""

    name = "floor"

    def __init__(self, folder: Path, shelf: Shelf) -> None:
        """Unpack the image; what is pulled is on ``shelf``."""
        self._folder = folder
        self._shelf = shelf
        self._layer = make_rootfs(folder)
        self._runtime = shutil.which(choose_runtime()[0]) or ""
        self._round = 0

    def up(self, count: int) -> None:
        """Start ``count`` containers on a bridge."""
        # A namespace takes its links along a while after it is gone: names are not used again.
        self._round += 1
        names = _names(count)
        for part in ("netns", "oci", "exits", *names):
            (self._folder / part).mkdir(exist_ok=True)
        _each(names, lambda name: netns.create(self._folder / "netns" / name))
        lines = [f"link add {BRIDGE} type bridge", f"link set {BRIDGE} up"]
        lines += [
            f"link add v{self._round}{name} up master {BRIDGE} type veth peer name eth0 netns"
            f" {self._folder / 'netns' / name}"
            for name in names
        ]
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines).encode(), check=True)
        _each(names, self._start)

    def down(self, count: int) -> None:
        """Kill them and remove everything."""
        names = _names(count)
        pids = [int((self._folder / name / "pid").read_text()) for name in names]
        watches = [os.pidfd_open(pid) for pid in pids]
        for watch in watches:
            signal.pidfd_send_signal(watch, signal.SIGKILL)
        for watch in watches:
            select.select([watch], [], [])
            os.close(watch)
        _each(names, self._remove)
        subprocess.run(["ip", "link", "delete", BRIDGE], check=True)
        cgroups.remove(GROUP)

    def process(self, count: int, number: int) -> int:
        """Return the host's id of a container's process; 0 while there is none."""
        del count
        return running(f"{GROUP}/c{number}")

    def revive(self, number: int) -> None:
        """Start one again whose process is being killed."""
        name = f"c{number}"
        # Two monitors of one container would be in each other's way.
        _wait_for(int((self._folder / name / "conmon.pid").read_text()))
        self._call("delete", "--force", name)
        self._begin(name)

    def prepare_pull(self) -> None:
        """Have the layers there."""
        self._shelf.layers()

    def pull(self) -> None:
        """Unpack the layers of the large image from where they lie."""

        def unpack(layer: Path) -> None:
            target = self._folder / "large" / layer.name
            target.mkdir(parents=True)
            subprocess.run(["tar", "-xzf", layer, "-C", target], check=True)

        with ThreadPoolExecutor(UNPACKING_AT_ONCE) as pool:
            list(pool.map(unpack, self._shelf.layers()))

    def forget(self) -> None:
        """Remove them again."""
        shutil.rmtree(self._folder / "large")

    def close(self) -> None:
        """Remove what an interrupted row left behind."""
        cgroups.remove(GROUP)
        subprocess.run(["ip", "link", "delete", BRIDGE], check=False, stderr=subprocess.DEVNULL)
        for path in (self._folder / "netns").glob("*"):
            netns.delete(path)
        for path in self._folder.glob("*/merged"):
            unmount_root(path.parent)

    def _start(self, name: str) -> None:
        folder = self._folder / name
        _configure(self._folder / "netns" / name, int(name[1:]))
        root = mount_root(folder, [self._layer])
        config = ContainerConfig(
            id=ContainerId(name),
            image=Digest(""),
            cgroup="",
            log=folder,
            hostname=name,
            command=COMMAND,
            netns=self._folder / "netns" / name,
        )
        user = ResolvedUser(uid=0, gid=0, groups=(), home="/")
        bundle = build_bundle(
            config,
            ImageConfig(),
            root=root,
            cgroup=f"{GROUP}/{name}",
            user=user,
            mounts=[],
            resources={},
        )
        (folder / "config.json").write_text(json.dumps(bundle))
        self._begin(name)

    def _begin(self, name: str) -> None:
        folder = self._folder / name
        reading, writing = os.pipe()
        line = ["conmon", "--api-version", "1", "-c", name, "-u", name, "-r", self._runtime]
        line += ["-b", str(folder), "--persist-dir", str(folder), "-p", str(folder / "pid")]
        line += ["-P", str(folder / "conmon.pid")]
        line += ["-l", f"k8s-file:{folder / 'log'}", "--exit-dir", str(self._folder / "exits")]
        line += ["--socket-dir-path", str(folder), f"--runtime-arg=--root={self._folder / 'oci'}"]
        subprocess.run(
            line,
            env={**os.environ, "_OCI_SYNCPIPE": str(writing)},
            pass_fds=(writing,),
            stdin=subprocess.DEVNULL,
            check=True,
        )
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            answer = json.loads(pipe.readline())
        if int(answer.get("data", answer.get("pid", -1))) <= 0:
            raise SystemExit(f"error: the floor cannot start a container: {answer}")
        self._call("start", name)

    def _remove(self, name: str) -> None:
        self._call("delete", "--force", name)
        netns.delete(self._folder / "netns" / name)
        unmount_root(self._folder / name)
        # Copies of the mount in namespaces that are just ending may hold it a moment longer.
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def _call(self, *words: str) -> None:
        subprocess.run([self._runtime, f"--root={self._folder / 'oci'}", *words], check=True)


def _names(count: int) -> list[str]:
    return [f"c{number}" for number in range(count)]


def _each(names: Iterable[str], act: Callable[[str], object]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(act, names))


def _wait_for(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        watch = os.pidfd_open(pid)
        select.select([watch], [], [])
        os.close(watch)


def _configure(namespace: Path, number: int) -> None:
    """Bring up loopback and eth0 with an address and a default route (rtnetlink(7))."""
    address = struct.pack(">I", 0x0AFE0002 + number)
    gateway = struct.pack(">I", 0x0AFE0001)

    def inside() -> None:
        index = socket.if_nametoindex("eth0")
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
            for kind, body in (
                (16, struct.pack("=BxHiII", 0, 0, 1, 1, 1)),
                (16, struct.pack("=BxHiII", 0, 0, index, 1, 1)),
                (20, struct.pack("=BBBBi", 2, 16, 0, 0, index) + _attribute(2, address)),
                (24, struct.pack("=8BI", 2, 0, 0, 0, 254, 4, 0, 1, 0) + _attribute(5, gateway)),
            ):
                head = struct.pack("=IHHII", 16 + len(body), kind, 0x405, 1, 0)
                route.send(head + body)
                code = -struct.unpack_from("=i", route.recv(4096), 16)[0]
                if code:
                    raise OSError(code, os.strerror(code))

    netns.run_inside(namespace, inside)


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data
