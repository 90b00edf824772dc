"""The container driver: bundle, overlay, conmon, runtime and cgroup put together.

What is known of every container is kept in memory: this process is the only writer. Each
container has a lock; different ones overlap.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

from typing_extensions import override

from runtime import cgroups, limiting
from runtime.drivers import ContainerDriver, ExecSession, ImageDriver, OnExit, OnLost, OnOom
from runtime.errors import (
    AlreadyExistsError,
    ConflictError,
    DriverError,
    NotFoundError,
    UnavailableError,
)
from runtime.files import in_thread, write_atomic
from runtime.logs.folder import newest_run
from runtime.logs.keeping import LogKeeper
from runtime.logs.lookout import Lookout
from runtime.oci import records
from runtime.oci.attaching import Attachments
from runtime.oci.bundle import build_process
from runtime.oci.carried import with_digests
from runtime.oci.cdi import resolve
from runtime.oci.choice import find_runtime
from runtime.oci.emulation import check_platform
from runtime.oci.exec import RuntimeExec, end_leftovers
from runtime.oci.folders import Folders
from runtime.oci.layout import Layout
from runtime.oci.namespaces import SHAREABLE, ipc_donor, own_name, pid_donor
from runtime.oci.packing import pack_tree
from runtime.oci.records import Record
from runtime.oci.rlimits import settle
from runtime.oci.rootfs import mount_root
from runtime.oci.runs import Runs
from runtime.oci.shortfalls import shortfalls
from runtime.oci.starting import check_group, start_process, unrunnable
from runtime.oci.users import resolve_user
from runtime.orphans import Orphans
from runtime.signals import signal_number
from runtime.trouble import trouble
from runtime.types import (
    ContainerConfig,
    ContainerFacts,
    ContainerId,
    ExecConfig,
    ExecProbe,
    GrpcProbe,
    HttpProbe,
    ImageFacts,
    Instance,
    Limits,
    LogDriver,
    LogProbe,
    Mount,
    MountKind,
    Probe,
    ProbeOutput,
    ProcessFacts,
    Reached,
    TcpProbe,
    Usage,
)
from runtime.usage import list_processes, read_usage
from runtime.volumes import Volumes

PROBE_OUTPUT = 4096


class Containers(ContainerDriver):
    """The containers of one instance. Open it before use, close it after."""

    def __init__(
        self,
        instance: Instance,
        images: ImageDriver,
        volumes: Volumes,
        logs: LogKeeper,
        *,
        clock: Callable[[], float] = records.boottime,
    ) -> None:
        """Keep containers below the instance's directories; nothing is touched yet."""
        self._images = images
        self._clock = clock
        self._records: dict[ContainerId, Record] = {}
        self._locks: WeakValueDictionary[ContainerId, asyncio.Lock] = WeakValueDictionary()
        self._busy: set[ContainerId] = set()
        self._ceilings: dict[str, Limits] = {}
        self._layout = Layout(instance)
        self._folders = Folders(self._layout, volumes)
        self._runs = Runs(self._layout, self._records, logs, clock)
        self._lines = Lookout()
        self._attachments = Attachments()
        self._runs.on_exit(lambda container, ended: self._attachments.end(container, ended.code))
        self.orphans = Orphans(self._runs.main_processes)
        """To be told whenever a child of this process has ended."""

    async def open(self) -> None:
        """Read every record and watch what runs."""
        for folder in self._layout.folders():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in sorted(self._layout.data.iterdir()):
            record = records.load_record(folder / "record.json")
            if record is not None:
                self._records[record.config.id] = record
                self._folders.claim(record)
                self._runs.load(record.config.id)
                scratch = self._layout.scratch / record.config.id
                end_leftovers(scratch, self._cgroup(record.config.id))
        await in_thread(self._folders.let_go)

    @override
    async def list(self) -> tuple[ContainerFacts, ...]:
        return tuple(
            ContainerFacts(
                id=container,
                image=record.config.image,
                labels={**record.config.remarks, **record.config.labels},
                phase=self._runs.phase(container),
                created_wall=record.created_wall,
                log=record.config.log,
                tty=record.config.tty,
                logged=record.config.logging.driver is not LogDriver.NONE,
                mounts=record.config.mounts,
                limits=record.config.limits,
                unmet=(*limiting.fit(record.config.limits)[1], *shortfalls(record.config)),
                prepared=self._runs.is_running(container) or self._folders.is_prepared(container),
            )
            for container, record in sorted(self._records.items())
        )

    @override
    async def create(self, config: ContainerConfig) -> None:
        verb = "create container"
        async with self._holding(config.id, "create container"), self._using_images(config):
            fingerprint = records.fingerprint_of(config)
            found = self._records.get(config.id)
            if found is not None:
                if found.fingerprint != fingerprint:
                    raise ConflictError(verb, config.id, "it exists with other settings")
                if not self._runs.is_running(config.id):
                    renewed = await in_thread(self._folders.renew, found, config)
                    self._records[config.id] = renewed
                raise AlreadyExistsError(verb, config.id, "it exists")
            image = await self._images.find(config.image)
            if image is None:
                cause = f"image `{config.image}` is not in the store"
                raise NotFoundError(verb, config.id, cause)
            self._check_donors(config)
            if config.runtime:
                config = replace(config, runtime=find_runtime(config.runtime))
            shared = self._records.get(ContainerId(config.network))
            if shared is not None and not config.hostname and not config.uts_host:
                config = replace(config, hostname=own_name(shared.config))
            record = Record(config=config, created_wall=time.time(), fingerprint=fingerprint)
            try:
                mounted = await self._mounted(record)
                built = await in_thread(self._folders.build, record, image, mounted)
            except (DriverError, OSError):
                await in_thread(self._folders.delete, config.id, self._layout.cgroup(config))
                raise
            self._records[config.id] = built

    @override
    async def limit(self, container: ContainerId, limits: Limits) -> None:
        async with self._holding(container, "limit"):
            record = self._known(container, "limit")
            running = self._runs.is_running(container)
            self._records[container] = await in_thread(
                self._folders.limit, record, limits, running=running
            )

    @override
    async def refresh(
        self, container: ContainerId, files: Sequence[Mount], then: Callable[[], Awaitable[None]]
    ) -> None:
        async with self._holding(container, "refresh"):
            record = self._known(container, "refresh")
            namespace = self._runs.open_namespace(container, "mnt")
            try:
                await in_thread(self._folders.refresh, record.config, files, namespace)
            finally:
                if namespace is not None:
                    os.close(namespace)
        # Whoever is told may take a while, and can be stopped meanwhile.
        await then()
        async with self._holding(container, "refresh"):
            record = self._known(container, "refresh")
            config = replace(record.config, mounts=with_digests(record.config.mounts, files))
            self._records[container] = await in_thread(
                self._folders.note, replace(record, config=config)
            )

    @override
    async def check(
        self, *, runtime: str | None, cdi: Sequence[str], platform: str | None = None
    ) -> None:
        if runtime:
            find_runtime(runtime)
        if platform:
            await in_thread(check_platform, platform)
        await in_thread(resolve, cdi, self._layout.instance.cdi)

    @override
    async def bound(self, group: str, ceiling: Limits) -> None:
        path = self._layout.group(group)
        await in_thread(limiting.bound, path, ceiling)
        # The group goes with its last container, and comes back with the next one.
        self._ceilings[path] = ceiling

    @override
    async def ceiling(self, group: str) -> Limits:
        return await in_thread(limiting.read_ceiling, self._layout.group(group))

    @override
    async def usage(self) -> Mapping[ContainerId, Usage]:
        running = {
            name: (self._layout.cgroup(record.config), self._own_network(record.config))
            for name, record in self._records.items()
            if self._runs.is_running(name)
        }

        def read() -> Mapping[ContainerId, Usage]:
            return {name: read_usage(group, pid) for name, (group, pid) in running.items()}

        return await in_thread(read)

    def _own_network(self, config: ContainerConfig) -> int | None:
        """Return a process that sees a container's interfaces; None where these are the host's."""
        state = self._runs.lasting(config.id)
        return state.pid if state is not None and config.netns is not None else None

    @override
    async def start(self, container: ContainerId) -> None:
        async with self._holding(container, "start container"):
            record = self._known(container, "start container")
            if self._runs.is_running(container):
                return
            await self._clear(container)
            above = str(Path(self._layout.cgroup(record.config)).parent)
            if above in self._ceilings:
                await in_thread(limiting.bound, above, self._ceilings[above])
            # Logs outlast containers: another one in its place has filled the folder before.
            number = max(self._runs.last(container), newest_run(record.config.log)) + 1
            image = await self._image(record, "start container")
            mounted = await self._mounted(record)
            joined = self._joined(record.config)
            compiles = await in_thread(
                self._folders.prepare, record, image, mounted, number, joined=joined
            )
            monitor = self._layout.monitor(record.config, number)
            try:
                pid = await monitor.create()
                check_group(container, pid, self._layout.cgroup(record.config))
                settle(pid, record.config.ulimits)
                if compiles is not None:
                    program = self._layout.states / container / "seccomp.bpf"
                    await in_thread(self._folders.filters(record.config).learn, compiles, program)
                self._attach(record)
                await start_process(
                    container,
                    pid,
                    [*self._layout.command(record.config), "start", container],
                    patience=self._layout.instance.patience,
                )
                self._runs.begin(container, number, pid)
                self._attachments.know(container)
            except BaseException as error:
                monitor.abandon()
                await self._clear(container)
                found = unrunnable(error.cause) if isinstance(error, DriverError) else None
                if found is None:
                    raise
                self._runs.fail(container, number, *found)

    @override
    async def stop(self, container: ContainerId, *, grace: float) -> None:
        async with self._holding(container, "stop container"):
            state = self._runs.lasting(container)
            if state is None or state.stop_by is not None:
                return
            record = self._known(container, "stop container")
            image = await self._images.find(record.config.image)
            name = record.config.stop_signal or (image.config.stop_signal if image else "")
            number = signal_number(name or "SIGTERM")
            self._runs.stop_by(container, state, self._clock() + grace, owed=number)
            self._runs.send_owed(container)
            # What stands still hears of nothing.
            await self._go_on(container)

    @override
    async def pause(self, container: ContainerId, *, paused: bool) -> None:
        verb = "pause container" if paused else "unpause container"
        async with self._holding(container, verb):
            self._known(container, verb)
            state = self._runs.running(container, verb)
            if paused and state.stop_by is None:
                # Written down first: whoever comes after a kill in between has it go on.
                self._runs.pause(container, state, paused=True)
                try:
                    await in_thread(cgroups.freeze, self._cgroup(container), frozen=True)
                except DriverError:
                    self._runs.pause(container, state, paused=False)
                    raise
            elif not paused:
                await self._go_on(container)

    @override
    async def processes(self, container: ContainerId) -> Sequence[ProcessFacts]:
        verb = "list processes of container"
        self._known(container, verb)
        self._runs.running(container, verb)
        return await in_thread(list_processes, self._cgroup(container))

    @override
    async def kill(self, container: ContainerId) -> None:
        state = self._runs.lasting(container)
        if state is None:
            return
        await self._go_on(container)
        state = self._runs.lasting(container) or state
        if state.stop_by is None:
            self._runs.stop_by(container, state, self._clock())
        await self._runs.kill(container, state)

    @override
    async def signal(self, container: ContainerId, number: int) -> None:
        self._known(container, "signal container")
        self._runs.send(container, self._runs.running(container, "signal container"), number)

    @override
    async def remove(self, container: ContainerId) -> None:
        async with self._holding(container, "remove container"):
            if self._runs.is_running(container):
                raise ConflictError("remove container", container, "it runs")
            await self._clear(container)
            await in_thread(self._folders.delete, container, self._cgroup(container))
            self._records.pop(container, None)
            self._runs.forget(container)

    @override
    async def pack(self, container: ContainerId, target: Path, *, changes: bool) -> None:
        async with self._holding(container, "pack container"):
            record = self._known(container, "pack container")
            image = await self._image(record, "pack container")
            root = await in_thread(mount_root, self._layout.data / container, image.layers)
        # It may be stopped meanwhile, and even removed: then what is left is packed.
        with target.open("xb") as file:
            source = root.with_name("upper") if changes else root
            await in_thread(pack_tree, source, file, changes=changes)

    @override
    @asynccontextmanager
    async def reach(self, container: ContainerId) -> AsyncIterator[Reached]:
        verb = "reach files of container"
        record = self._known(container, verb)
        state = self._runs.lasting(container)
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        hidden: tuple[str, ...] = ()
        root: int | None = None
        if state is not None:
            with suppress(OSError):
                root = os.open(f"/proc/{state.pid}/root", flags)
                if not records.is_alive(state):
                    # Its number may be somebody else's by now.
                    os.close(root)
                    root = None
        if root is None:
            hidden = tuple(one.target for one in record.config.mounts)
            async with self._holding(container, verb):
                image = await self._image(record, verb)
                folder = self._layout.data / container
                root = os.open(await in_thread(mount_root, folder, image.layers), flags)
        try:
            yield Reached(root, hidden)
        finally:
            os.close(root)

    @override
    async def exec(self, container: ContainerId, config: ExecConfig) -> ExecSession:
        verb = "run a command in container"
        record = self._known(container, verb)
        if self._runs.running(container, verb).paused:
            hint = "`pyorch unpause` has it go on"
            raise ConflictError(verb, container, "it is paused", hint=hint)
        image = await self._image(record, verb)
        user = record.config.user if config.user is None else config.user
        resolved = await in_thread(
            resolve_user,
            self._layout.data / container / "merged",
            image.config.user if user is None else user,
            record.config.group_add,
        )
        folder = self._layout.scratch / container
        token = os.urandom(6).hex()
        scratch, pid_file = folder / f"exec-{token}.json", folder / f"exec-{token}.pid"
        process = build_process(record.config, image.config, config, resolved)
        write_atomic(scratch, json.dumps(process).encode())
        line = [*self._layout.command(record.config), "exec", "--process", str(scratch)]
        line += ["--pid-file", str(pid_file)]
        if config.tty:
            line.append("--tty")
        return await RuntimeExec.begin(
            [*line, container], pid_file=pid_file, scratch=scratch, tty=config.tty
        )

    @override
    async def attach(self, container: ContainerId) -> ExecSession:
        session = self._attachments.begin(container, partial(self.signal, container))
        if self._runs.is_running(container):
            try:
                self._attach(self._known(container, "attach to container"))
                session.know()
            except OSError as error:
                await session.close()
                verb, cause = "attach to container", f"its monitor does not answer: {error}"
                raise UnavailableError(verb, container, cause) from error
        return session

    @override
    async def probe(self, container: ContainerId, probe: Probe, *, timeout: float) -> ProbeOutput:
        match probe:
            case ExecProbe(argv):
                return await self._probe_inside(container, argv, timeout=timeout)
            case LogProbe(text):
                log = self._known(container, "probe container").config.log
                return await self._lines.look(log, self._runs.last(container), text)
            case network:
                return await self._ask(container, network, timeout=timeout)

    async def _probe_inside(
        self, container: ContainerId, argv: Sequence[str], *, timeout: float
    ) -> ProbeOutput:
        session = await self.exec(container, ExecConfig(argv=tuple(argv)))
        output = b""
        try:
            async with asyncio.timeout(timeout):
                await session.write(b"")
                while True:
                    stream, data = await session.read()
                    if stream == 0:
                        break
                    output = (output + data)[:PROBE_OUTPUT]
                code = await session.wait()
        except TimeoutError:
            return ProbeOutput(code=-1, output=output)
        finally:
            await session.close()
        return ProbeOutput(code=code, output=output)

    async def _ask(
        self, container: ContainerId, probe: HttpProbe | TcpProbe | GrpcProbe, *, timeout: float
    ) -> ProbeOutput:
        # Imported when it is first needed: most stacks have no such probe.
        from runtime.asking import ask

        namespace = self._runs.open_namespace(container, "net")
        if namespace is None:
            raise NotFoundError("probe container", container, "it does not run")
        try:
            async with asyncio.timeout(timeout):
                return await ask(probe, namespace)
        except TimeoutError:
            return ProbeOutput(code=-1, output=f"port {probe.port}: no answer".encode())
        finally:
            os.close(namespace)

    @override
    def on_exit(self, callback: OnExit) -> None:
        self._runs.on_exit(callback)

    @override
    def on_lost(self, callback: OnLost) -> None:
        self._runs.on_lost(callback)

    @override
    def on_oom(self, callback: OnOom) -> None:
        self._runs.on_oom(callback)

    @override
    async def sweep(self) -> Sequence[str]:
        self.orphans.look()
        return await in_thread(self._folders.sweep, self._wanted)

    @override
    async def close(self) -> None:
        self._runs.close()

    @asynccontextmanager
    async def _holding(self, container: ContainerId, verb: str) -> AsyncIterator[None]:
        async with self._locks.setdefault(container, asyncio.Lock()):
            self._busy.add(container)
            try:
                async with trouble(verb, container):
                    yield
            finally:
                self._busy.discard(container)

    def _wanted(self) -> tuple[set[str], set[str]]:
        # Called in a thread: sets and dictionaries are copied as a whole.
        busy = self._busy.copy()
        known = {*self._records, *busy}
        groups = {self._cgroup(name) for name in known}
        return set(known), groups | {self._layout.usual_cgroup(name) for name in busy}

    def _known(self, container: ContainerId, verb: str) -> Record:
        record = self._records.get(container)
        if record is None:
            raise NotFoundError(verb, container, "there is no such container")
        return record

    async def _image(self, record: Record, verb: str) -> ImageFacts:
        image = await self._images.find(record.config.image)
        if image is None:
            raise NotFoundError(verb, record.config.id, "its image is gone")
        return image

    @asynccontextmanager
    async def _using_images(self, config: ContainerConfig) -> AsyncIterator[None]:
        """Keep a container's images: before it is on record nothing says that it needs them."""
        mounted = [one.source for one in config.mounts if one.kind is MountKind.IMAGE]
        async with AsyncExitStack() as stack:
            for reference in (config.image, *mounted):
                await stack.enter_async_context(self._images.using(reference))
            yield

    async def _mounted(self, record: Record) -> dict[str, ImageFacts]:
        """Return the images that are mounted in a container."""
        found = {}
        for given in record.config.mounts:
            if given.kind is MountKind.IMAGE:
                image = await self._images.find(given.source)
                if image is None:
                    cause = f"image `{given.source}` is not in the store"
                    raise NotFoundError("mount at", given.target, cause)
                found[given.source] = image
        return found

    def _check_donors(self, config: ContainerConfig) -> None:
        """Refuse to share anything with a container that is not there, or that does not share."""
        verb = "create container"
        for name in filter(None, (config.network, pid_donor(config), ipc_donor(config))):
            donor = ContainerId(name)
            if donor != config.id and donor not in self._records:
                raise NotFoundError(verb, config.id, f"there is no container `{donor}` to join")
        shared = self._records.get(ContainerId(config.ipc))
        if shared is not None and shared.config.ipc != SHAREABLE:
            raise ConflictError(
                verb,
                config.id,
                f"`{shared.config.id}` does not share its memory",
                hint="write `ipc: shareable` there",
            )

    async def _go_on(self, container: ContainerId) -> None:
        state = self._runs.lasting(container)
        if state is not None and state.paused:
            await in_thread(cgroups.freeze, self._cgroup(container), frozen=False)
            self._runs.pause(container, self._runs.lasting(container) or state, paused=False)

    def _attach(self, record: Record) -> None:
        bundle = self._layout.data / record.config.id
        self._attachments.connect(record.config.id, bundle, tty=record.config.tty)

    def _joined(self, config: ContainerConfig) -> int | None:
        """Return the first process of the container whose processes are shared, if any."""
        donor = ContainerId(pid_donor(config))
        if not donor:
            return None
        if not self._runs.is_running(donor):
            cause = f"`{donor}`, whose processes it shares, does not run"
            raise ConflictError("start container", config.id, cause)
        return self._runs.running(donor, "start container").pid

    def _cgroup(self, container: ContainerId) -> str:
        record = self._records.get(container)
        if record is None:
            return self._layout.usual_cgroup(container)
        return self._layout.cgroup(record.config)

    async def _clear(self, container: ContainerId) -> None:
        """Remove what a run left: its watch, the runtime's state, its cgroups."""
        self._runs.unwatch(container)
        await in_thread(self._folders.clear, container, self._cgroup(container))
