"""What the orchestrator may ask of a host, and what every driver promises in return.

The promises stand here, once. Every method is safe to repeat: what is already so is not an
error, except where a method says it refuses. Drivers raise :class:`~runtime.errors.DriverError`
kinds and nothing else; anything else that escapes is a bug.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from runtime.types import (
    BuildConfig,
    CommitConfig,
    ContainerConfig,
    ContainerFacts,
    ContainerId,
    Digest,
    ExecConfig,
    Exited,
    Exposure,
    Freed,
    HostFacts,
    ImageDamage,
    ImageFacts,
    Limits,
    Mount,
    NetworkConfig,
    NetworkFacts,
    NetworkId,
    Probe,
    ProbeOutput,
    ProcessFacts,
    PullProgress,
    Rates,
    Reached,
    SandboxConfig,
    SandboxFacts,
    Usage,
    VolumeConfig,
    VolumeFacts,
    VolumeId,
    Zone,
)

OnExit = Callable[[ContainerId, Exited], None]
OnLost = Callable[[ContainerId], None]
OnOom = Callable[[ContainerId, str], None]
"""Told of the container, and in a few words of whose limit it was."""
OnDrift = Callable[[], None]
OnProgress = Callable[[PullProgress], None]
OnOutput = Callable[[bytes], Awaitable[None]]
Needed = Callable[[], Awaitable[Mapping[Digest, str]]]
"""Tells which images must stay, and in a word who needs each."""


class ExecSession(Protocol):
    """A process running beside a container's main one, with its standard streams."""

    async def read(self) -> tuple[int, bytes]:
        """Return the next ``(stream, data)``: 1 for stdout, 2 for stderr.

        At the end, and from then on, ``(0, b"")``. With a terminal everything arrives on
        stream 1.
        """

    async def write(self, data: bytes) -> None:
        """Send ``data`` to its standard input; empty data closes it."""

    async def resize(self, columns: int, rows: int) -> None:
        """Tell the terminal its new size; ignored without a terminal."""

    async def signal(self, number: int) -> None:
        """Send it a signal; ignored when it has ended."""

    async def wait(self) -> int:
        """Return its exit code once it has ended; 126 and 127 as a shell would."""

    async def close(self) -> None:
        """End it if it still runs, and free everything it held; may be repeated."""


class ContainerDriver(Protocol):
    """Containers: made, started, stopped, removed. Each run is a new process in the same root."""

    async def list(self) -> tuple[ContainerFacts, ...]:
        """Report every container of this instance, sorted by id, as the host shows it now.

        Labels are those of the configuration; a driver may add its own, never change one.
        After a reboot, or when nobody saw the end, running ones are reported as exited 255.
        """

    async def create(self, config: ContainerConfig) -> None:
        """Make the bundle and the root filesystem; nothing runs.

        A half-made one is made again, and a refused one leaves nothing behind. Raises
        AlreadyExistsError for the same config, whatever its limits, ConflictError for another
        one and for sharing memory with a container that shares none, NotFoundError when the
        image, a volume it mounts or a container it shares something with does not exist.
        """

    async def limit(self, container: ContainerId, limits: Limits) -> None:
        """Have a container keep to other limits from now on, in this run and in those to come.

        All of them or none: where the host refuses one, the former ones hold. Raises
        NotFoundError for one that does not exist, ConflictError where it uses more memory
        than it may have.
        """

    async def refresh(
        self, container: ContainerId, files: Sequence[Mount], then: Callable[[], Awaitable[None]]
    ) -> None:
        """Have files it carries hold what ``files`` say, each by its target, in every run to come.

        One that runs has the one content or the other at any moment, never a part of one. Once
        it is there ``then`` is awaited, and only then it counts: what is interrupted is done
        again. Files that have no digest are left alone. Raises NotFoundError for a container
        that does not exist.
        """

    async def check(
        self, *, runtime: str | None, cdi: Sequence[str], platform: str | None = None
    ) -> None:
        """Tell, before anything is made, whether this host has a runtime and devices.

        ``platform`` is ``os/architecture[/variant]`` of what is to run. Raises UnsupportedError
        for a runtime that is not here, and for programs nobody here can run; NotFoundError for
        a device nobody describes.
        """

    async def bound(self, group: str, ceiling: Limits) -> None:
        """Have the containers whose cgroup is below ``group`` keep to limits together.

        Of ``ceiling`` processors, memory and processes count; without any it is lifted. It
        holds for as long as there are containers.
        """

    async def ceiling(self, group: str) -> Limits:
        """Report what the containers below ``group`` keep to together, as the host shows it."""

    async def usage(self) -> Mapping[ContainerId, Usage]:
        """Report what every container that runs uses, as the host counts it."""

    async def start(self, container: ContainerId) -> None:
        """Begin a new run of a container that does not run; one that runs is left alone.

        What an earlier run left behind is cleared away first. The root filesystem is kept.
        Runs of one log folder are numbered upwards from 1, those of earlier containers
        included. Raises NotFoundError for one that does not exist, ConflictError where another
        one, whose processes it shares, does not run, and UnavailableError where it does not
        begin, whatever the runtime says; then nothing runs.
        """

    async def stop(self, container: ContainerId, *, grace: float) -> None:
        """Send its stop signal and note the moment it may be killed: ``grace`` seconds from now.

        Does not wait. One already told keeps its moment. One that does not run, or does not
        exist, is left alone.
        """

    async def pause(self, container: ContainerId, *, paused: bool) -> None:
        """Have every process of it stand still, or go on.

        One told to stop, or killed, goes on by itself. Raises NotFoundError when it does not
        run, UnsupportedError where this host cannot.
        """

    async def processes(self, container: ContainerId) -> Sequence[ProcessFacts]:
        """Report its processes, by number; those of commands beside it as well.

        Raises NotFoundError when it does not run.
        """

    async def kill(self, container: ContainerId) -> None:
        """End every process of it with SIGKILL, and return when its exit is recorded.

        It counts as told to stop. One that does not run, or does not exist, is left alone.
        """

    async def signal(self, container: ContainerId, number: int) -> None:
        """Send a signal to its main process. Raises NotFoundError when it does not run."""

    async def remove(self, container: ContainerId) -> None:
        """Remove root filesystem, bundle, cgroups and records; logs stay.

        One that does not exist is removed. Refuses one that runs with ConflictError.
        """

    async def pack(self, container: ContainerId, target: Path, *, changes: bool) -> None:
        """Write its files to the tarball ``target``; with ``changes`` what differs from its image.

        Volumes and what is mounted are left out. It may run meanwhile. Raises NotFoundError
        for one that does not exist.
        """

    def reach(self, container: ContainerId) -> AbstractAsyncContextManager[Reached]:
        """Yield a descriptor of its root directory, as its own processes see it while it runs.

        What is in there is hostile, links above all: whoever uses it follows none out of it.
        Raises NotFoundError for one that does not exist.
        """

    async def exec(self, container: ContainerId, config: ExecConfig) -> ExecSession:
        """Start a process in a running container. Raises NotFoundError when it does not run."""

    async def attach(self, container: ContainerId) -> ExecSession:
        """Take part in the streams of a container's main process: of the run that lasts.

        Where none does, of the next one, from its first byte; the container may be made later.
        To close the session ends nothing but itself, and ``wait`` returns the run's exit code.
        """

    async def probe(self, container: ContainerId, probe: Probe, *, timeout: float) -> ProbeOutput:
        """Ask it how it is, for ``timeout`` seconds at most; a command's children end with it.

        Raises NotFoundError when the container does not run.
        """

    def on_exit(self, callback: OnExit) -> None:
        """Have ``callback`` called in the event loop as soon as any container ends.

        Once a run, and :meth:`list` reports it as exited by then.
        """

    def on_oom(self, callback: OnOom) -> None:
        """Have ``callback`` called when a process of a container was ended for want of memory.

        The container may run on without it.
        """

    def on_lost(self, callback: OnLost) -> None:
        """Have ``callback`` called when the monitor of a container that runs has died."""

    async def sweep(self) -> Sequence[str]:
        """Remove what no container accounts for (cgroups, mounts, processes); say what it was."""

    async def close(self) -> None:
        """Let go of every watch and callback; containers keep running."""


class ImageDriver(Protocol):
    """Images in pyorch's own content-addressed store."""

    async def list(self) -> tuple[ImageFacts, ...]:
        """Report every image, sorted by its first reference."""

    async def find(self, reference: str) -> ImageFacts | None:
        """Return the image a reference, a digest or an unambiguous id prefix stands for.

        None for everything else, text that can be no reference included.
        """

    def using(self, reference: str) -> AbstractAsyncContextManager[ImageFacts | None]:
        """Yield what :meth:`find` returns; the image stays while the context lasts.

        So it can be built upon: whatever began to remove images before the end of the context
        leaves it alone, and what comes later asks who needs it.
        """

    async def load(self, source: Path, *, name: str | None = None) -> tuple[ImageFacts, ...]:
        """Take in what ``source`` holds: OCI archive, docker archive or OCI layout directory.

        ``name`` is the reference for an archive that carries none. A reference another image
        had moves over. Raises NotFoundError when there is no ``source``, InvalidError when
        anything in it is broken or hostile; then nothing of it is left behind.
        """

    async def import_rootfs(
        self, source: Path, *, name: str, config: "dict[str, object] | None" = None
    ) -> ImageFacts:
        """Make a one-layer image from a root filesystem: a tarball or a directory.

        ``config`` is the ``config`` object of the image-spec (``Cmd``, ``Env``, …). Refuses
        as :meth:`load` does.
        """

    async def pull(
        self,
        reference: str,
        *,
        platform: str | None = None,
        progress: OnProgress | None = None,
    ) -> ImageFacts:
        """Fetch an image from its registry; what is in the store already is not fetched again.

        ``platform`` is ``os/architecture[/variant]``, else what this machine runs. Raises
        NotFoundError when the registry has no such image.
        """

    async def resolve(self, reference: str) -> Digest:
        """Ask the registry which digest a reference stands for now; nothing is fetched.

        Raises NotFoundError when the registry has no such image.
        """

    async def variants(self, reference: str) -> Mapping[str, Digest]:
        """Ask the registry which image a reference stands for now, by platform.

        Raises NotFoundError when the registry has no such image.
        """

    async def tag(self, reference: str, name: str) -> ImageFacts:
        """Give an image one more name, taking it from another. Raises NotFoundError."""

    async def remove(self, reference: str, *, force: bool = False) -> None:
        """Drop a reference; the image and layers nobody needs any more go with the last one.

        An id stands for the only reference of its image. Raises NotFoundError for what is not
        in the store, ConflictError for an id of several references and for the last reference
        of what is needed. With ``force`` all of them go, and what is needed stays without a
        name for as long.
        """

    async def prune(self, *, unused: bool = False) -> Freed:
        """Remove images without a name that nobody needs; with ``unused`` those with one, too."""

    async def push(
        self, reference: str, *, target: str | None = None, progress: OnProgress | None = None
    ) -> None:
        """Upload an image to the registry its reference names, or under ``target``.

        Its digest stays the same. Raises NotFoundError for what is not in the store.
        """

    async def save(self, references: Sequence[str], target: Path) -> None:
        """Write images to an archive, or to a layout where ``target`` is an empty directory.

        What is written can be loaded here and by other programs. Raises NotFoundError for
        what is not in the store, AlreadyExistsError for a directory that is not empty.
        """

    async def inspect(self, reference: str) -> Mapping[str, object]:
        """Return everything that is known about an image. Raises NotFoundError."""

    async def check(self, *, deep: bool = False, repair: bool = False) -> "tuple[ImageDamage, ...]":
        """Report what is missing, with ``deep`` also what changed; with ``repair`` mend it."""

    async def log_in(self, registry: str, user: str, password: str) -> None:
        """Keep a login once the registry takes it. Raises NotFoundError when it does not."""

    async def log_out(self, registry: str) -> bool:
        """Forget a login; return whether there was one of ours."""

    async def commit(self, image: str, changes: Path, config: CommitConfig) -> ImageFacts:
        """Make an image of another one and a layer of ``changes``, a tarball, on top of it."""

    def keep_for(self, needed: Needed) -> None:
        """Have ``needed`` asked before anything is removed."""

    async def close(self) -> None:
        """Close connections."""


class BuildDriver(Protocol):
    """Images from Dockerfiles. The cache of steps is kept until it is pruned."""

    async def build(
        self, config: BuildConfig, context: AsyncIterator[bytes], output: OnOutput
    ) -> ImageFacts:
        """Make an image and take it into the store under its names.

        ``context`` is a tarball, in pieces: each context below a folder named by its number.
        ``output`` gets what the builder and the steps print. Nothing of a build that fails or
        is cancelled is left but cached steps. Raises InvalidError when a step fails.
        """

    async def prune(self) -> int:
        """Forget every cached step once no build runs; return how many bytes that freed."""


class NetworkDriver(Protocol):
    """Bridges, sandboxes, the firewall table and the resolvers."""

    async def list(self) -> tuple[NetworkFacts, ...]:
        """Report every network of this instance, sorted by id."""

    async def create(self, config: NetworkConfig) -> None:
        """Make the bridge, or mend the one that is there; it is up when this returns.

        Mending keeps its members. Raises ConflictError when the id exists with another subnet
        or another network's subnet overlaps.
        """

    async def remove(self, network: NetworkId) -> None:
        """Remove the bridge; one that is gone is removed. ConflictError while it has members."""

    async def list_sandboxes(self) -> tuple[SandboxFacts, ...]:
        """Report every sandbox of this instance, sorted by id."""

    async def create_sandbox(self, config: SandboxConfig) -> Path:
        """Make the namespace, or mend the one that is there, and return its path.

        Mending keeps the namespace, so that processes in it keep their sockets; another
        configuration makes a new one. Raises NotFoundError when a network does not exist.
        """

    async def limit_sandbox(self, container: ContainerId, rates: Rates) -> None:
        """Hold the links of a sandbox to other rates; one that is not there is held to none.

        Raises UnsupportedError where the kernel holds links to none.
        """

    async def remove_sandbox(self, container: ContainerId) -> None:
        """Remove the namespace and its links; one that is gone is removed."""

    async def publish(self, exposure: Exposure) -> None:
        """Make exactly this reachable: one firewall transaction, resolvers told. Idempotent."""

    def nameservers(self, zone: Zone) -> Sequence[str]:
        """Return whom a zone's members ask: their resolver, where they reach the host.

        In whatever order its networks are named; the same one as long as they live. Others
        ask the zone's servers, or the host's, themselves.
        """

    def gateway(self, network: NetworkId) -> str:
        """Return the address under which members of a network reach the host."""

    async def host(self) -> HostFacts:
        """Report the machine: processors, memory, foreign routes, listening sockets."""

    async def sweep(self) -> Sequence[str]:
        """Remove links, namespaces and resolvers no record accounts for; say what it was."""

    def on_drift(self, callback: OnDrift) -> None:
        """Have ``callback`` called in the event loop when something of ours may be gone."""

    async def mend(self, *, everything: bool) -> Sequence[str]:
        """Put back what others took away from networks and sandboxes; say what it was.

        Processes and their sockets stay. Without ``everything`` only that is looked at
        which a hint came for.
        """

    def changes(self) -> Sequence[str]:
        """Say what of the host's own settings is changed as long as there are networks."""

    async def close(self) -> None:
        """Let go of sockets; networks and resolvers stay."""


class VolumeDriver(Protocol):
    """Named directories that outlive containers.

    Raises ConflictError for a name that cannot be a file's.
    """

    async def list(self) -> tuple[VolumeFacts, ...]:
        """Report every volume, sorted by id."""

    async def create(self, config: VolumeConfig) -> None:
        """Make an empty volume; one that exists is kept as it is.

        Nothing is mounted yet. Raises InvalidError for options that mean nothing.
        """

    async def remove(self, volume: VolumeId) -> None:
        """Delete a volume with its content; one that is gone is removed.

        What its options have mounted is let go, and stays as it is.
        """


__all__ = [
    "BuildDriver",
    "ContainerDriver",
    "Digest",
    "ExecSession",
    "ImageDriver",
    "NetworkDriver",
    "OnDrift",
    "OnExit",
    "OnLost",
    "OnOom",
    "OnOutput",
    "OnProgress",
    "VolumeDriver",
]
