"""The container driver: bundle, overlay, conmon, runtime and cgroup put together.

What is known of every container is kept in memory: this process is the only writer. Each
container has a lock; different ones overlap.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from typing_extensions import override

from runtime import cgroups
from runtime.drivers import ContainerDriver, ExecSession, ImageDriver, OnExit
from runtime.errors import (
    AlreadyExistsError,
    ConflictError,
    DriverError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from runtime.files import in_thread, write_atomic
from runtime.oci import records
from runtime.oci.bundle import build_bundle, build_process, display_command
from runtime.oci.conmon import Monitor
from runtime.oci.exec import RuntimeExec
from runtime.oci.filters import ANNOTATION, Filters
from runtime.oci.packing import pack_tree
from runtime.oci.records import Record, RunState
from runtime.oci.rootfs import (
    build_mounts,
    mount_root,
    unmount_below,
    unmount_root,
    write_files,
)
from runtime.oci.users import resolve_user
from runtime.orphans import Orphans
from runtime.process import run
from runtime.types import (
    ContainerConfig,
    ContainerFacts,
    ContainerId,
    ContainerPhase,
    Created,
    ExecConfig,
    Exited,
    ImageFacts,
    Instance,
    ProbeOutput,
    Running,
)
from runtime.volumes import Volumes

UNKNOWN = 255
REBOOT = "host reboot"
PROBE_OUTPUT = 4096
INIT_PATHS = ("/usr/bin/catatonit", "/usr/libexec/podman/catatonit", "/usr/bin/tini")
INIT_TARGET = "/run/pyorch-init"


class Containers(ContainerDriver):
    """The containers of one instance. Open it before use, close it after."""

    def __init__(
        self,
        instance: Instance,
        images: ImageDriver,
        volumes: Volumes,
        *,
        clock: Callable[[], float] = records.boottime,
    ) -> None:
        """Keep containers below the instance's directories; nothing is touched yet."""
        self._instance = instance
        self._images = images
        self._volumes = volumes
        self._clock = clock
        self._root = instance.data / "containers"
        self._run = instance.run / "containers"
        self._exits = instance.run / "exits"
        self._records: dict[ContainerId, Record] = {}
        self._states: dict[ContainerId, RunState] = {}
        self._watches: dict[ContainerId, int] = {}
        self._ended: dict[ContainerId, asyncio.Event] = {}
        self._locks: defaultdict[ContainerId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._callbacks: list[OnExit] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.orphans = Orphans(self._main_processes)
        """To be told whenever a child of this process has ended."""

    async def open(self) -> None:
        """Read every record and watch what runs."""
        for folder in (self._root, self._run, self._exits, self._instance.run / "oci"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in sorted(self._root.iterdir()):
            record = records.load_record(folder / "record.json")
            if record is None:
                continue
            container = record.config.id
            self._records[container] = record
            state = records.load_state(folder / "state.json")
            if state is not None:
                self._states[container] = state
                if state.code is None:
                    self._watch(container, state)

    @cached_property
    def runtime(self) -> str:
        """The OCI runtime used here: crun, or runc where crun cannot run."""
        chosen, _ = choose_runtime()
        return chosen

    @cached_property
    def _filters(self) -> Filters:
        program = Path(shutil.which(self.runtime) or self.runtime)
        return Filters(self._instance.run / "seccomp", program)

    # ── the protocol ─────────────────────────────────────────────────────────────────────

    @override
    async def list(self) -> tuple[ContainerFacts, ...]:
        return tuple(
            ContainerFacts(
                id=container,
                image=record.config.image,
                labels=record.config.labels,
                phase=self._phase(container),
                created_wall=record.created_wall,
                log=record.config.log,
                prepared=self._is_prepared(container),
            )
            for container, record in sorted(self._records.items())
        )

    @override
    async def create(self, config: ContainerConfig) -> None:
        async with self._locks[config.id]:
            fingerprint = records.fingerprint_of(config)
            found = self._records.get(config.id)
            if found is not None:
                if found.fingerprint != fingerprint:
                    raise ConflictError(
                        "create container", config.id, "it exists with other settings"
                    )
                if not isinstance(self._phase(config.id), Running):
                    await in_thread(self._renew, found, config)
                raise AlreadyExistsError("create container", config.id, "it exists")
            image = await self._images.find(config.image)
            if image is None:
                raise NotFoundError(
                    "create container", config.id, f"image `{config.image}` is not in the store"
                )
            record = Record(config=config, created_wall=time.time(), fingerprint=fingerprint)
            try:
                await in_thread(self._build, record, image)
            except DriverError:
                await in_thread(self._delete, config.id)
                raise
            self._records[config.id] = record

    @override
    async def start(self, container: ContainerId) -> None:
        async with self._locks[container]:
            record = self._known(container, "start container")
            if isinstance(self._phase(container), Running):
                return
            await self._clear(container)
            state = self._states.get(container)
            number = (state.run if state else 0) + 1
            image = await self._images.find(record.config.image)
            if image is None:
                raise NotFoundError("start container", container, "its image is gone")
            compiles = await in_thread(self._prepare, record, image, number)
            monitor = self._monitor(record.config, number)
            pid = await monitor.create()
            try:
                if compiles is not None:
                    program = self._instance.run / "oci" / container / "seccomp.bpf"
                    await in_thread(self._filters.learn, compiles, program)
                done = await run([*self._command, "start", container], check=False)
                if done.returncode != 0:
                    raise UnavailableError("start container", container, done.complaint)
            except BaseException:
                await self._clear(container)
                raise
            ticks = records.start_ticks(pid)
            state = RunState(
                run=number,
                pid=pid,
                start_ticks=ticks if ticks is not None else 0,
                boot=records.boot_id(),
                started=self._clock(),
            )
            self._save(container, state)
            self._watch(container, state)

    @override
    async def stop(self, container: ContainerId, *, grace: float) -> None:
        async with self._locks[container]:
            state = self._states.get(container)
            if state is None or state.code is not None or state.stop_by is not None:
                return
            record = self._known(container, "stop container")
            self._save(container, replace(state, stop_by=self._clock() + grace))
            image = await self._images.find(record.config.image)
            name = record.config.stop_signal or (image.config.stop_signal if image else "")
            self._send(container, state, signal_number(name or "SIGTERM"))

    @override
    async def kill(self, container: ContainerId) -> None:
        state = self._states.get(container)
        if state is None or state.code is not None:
            return
        if state.stop_by is None:
            self._save(container, replace(state, stop_by=self._clock()))
        ended = self._ended.setdefault(container, asyncio.Event())
        self._send(container, state, signal.SIGKILL)
        try:
            async with asyncio.timeout(cgroups.PATIENCE):
                await ended.wait()
        except TimeoutError:
            await in_thread(cgroups.kill, self._cgroup(container))
            raise UnavailableError("kill container", container, "it does not end") from None

    @override
    async def signal(self, container: ContainerId, number: int) -> None:
        self._send(container, self._running(container, "signal container"), number)

    @override
    async def remove(self, container: ContainerId) -> None:
        async with self._locks[container]:
            if isinstance(self._phase(container), Running):
                raise ConflictError("remove container", container, "it runs")
            await self._clear(container)
            await in_thread(self._delete, container)
            self._records.pop(container, None)
            self._states.pop(container, None)
        self._locks.pop(container, None)

    @override
    async def pack(self, container: ContainerId, target: Path, *, changes: bool) -> None:
        async with self._locks[container]:
            record = self._known(container, "pack container")
            image = await self._images.find(record.config.image)
            if image is None:
                raise NotFoundError("pack container", container, "its image is gone")
            folder = self._root / container
            root = await in_thread(mount_root, folder, image.layers)
        # It may be stopped meanwhile, and even removed: then what is left is packed.
        with target.open("xb") as file:
            source = root.with_name("upper") if changes else root
            await in_thread(pack_tree, source, file, changes=changes)

    @override
    async def exec(self, container: ContainerId, config: ExecConfig) -> ExecSession:
        self._running(container, "run a command in container")
        record = self._known(container, "run a command in container")
        image = await self._images.find(record.config.image)
        if image is None:
            raise NotFoundError("run a command in container", container, "its image is gone")
        user = record.config.user if config.user is None else config.user
        resolved = await in_thread(
            resolve_user,
            self._root / container / "merged",
            image.config.user if user is None else user,
            record.config.group_add,
        )
        folder = self._run / container
        token = os.urandom(6).hex()
        scratch, pid_file = folder / f"exec-{token}.json", folder / f"exec-{token}.pid"
        process = build_process(record.config, image.config, config, resolved)
        write_atomic(scratch, json.dumps(process).encode())
        line = [*self._command, "exec", "--process", str(scratch), "--pid-file", str(pid_file)]
        if config.tty:
            line.append("--tty")
        return await RuntimeExec.begin(
            [*line, container], pid_file=pid_file, scratch=scratch, tty=config.tty
        )

    @override
    async def probe(
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

    @override
    def on_exit(self, callback: OnExit) -> None:
        self._callbacks.append(callback)

    @override
    async def sweep(self) -> Sequence[str]:
        self.orphans.look()
        return await in_thread(self._sweep)

    @override
    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        for fd in self._watches.values():
            loop.remove_reader(fd)
            os.close(fd)
        self._watches.clear()
        for task in self._tasks:
            task.cancel()

    # ── making and clearing (blocking) ───────────────────────────────────────────────────

    def _build(self, record: Record, image: ImageFacts) -> None:
        folder = self._root / record.config.id
        folder.mkdir(exist_ok=True, mode=0o700)
        (self._run / record.config.id).mkdir(exist_ok=True, mode=0o700)
        root = mount_root(folder, image.layers)
        files = write_files(self._run / record.config.id / "files", record.config)
        own = build_mounts(record.config, root, self._volumes, image.config.volumes)
        init = None
        if record.config.init:
            init = INIT_TARGET
            own.append(_init_mount(record.config.id))
        user = resolve_user(
            root,
            image.config.user if record.config.user is None else record.config.user,
            record.config.group_add,
        )
        bundle = build_bundle(
            record.config,
            image.config,
            root=root,
            cgroup=self._cgroup(record.config.id, record.config),
            user=user,
            mounts=[*files, *own],
            init=init,
        )
        self._filters.add_to(bundle)
        write_atomic(folder / "config.json", json.dumps(bundle).encode())
        labels = {**record.config.labels}
        labels.setdefault("pyorch.command", display_command(record.config, image.config))
        labelled = replace(record, config=replace(record.config, labels=labels))
        object.__setattr__(record, "config", labelled.config)
        records.save_record(folder / "record.json", record)

    def _renew(self, record: Record, config: ContainerConfig) -> None:
        """Write the small files anew: they went with a reboot, or addresses have changed."""
        folder = self._run / config.id
        folder.mkdir(exist_ok=True, mode=0o700)
        write_files(folder / "files", config)
        renewed = replace(record.config, addresses=config.addresses, nameservers=config.nameservers)
        self._records[config.id] = replace(record, config=renewed)
        records.save_record(self._root / config.id / "record.json", self._records[config.id])

    def _prepare(self, record: Record, image: ImageFacts, number: int) -> str | None:
        """Make ready for a run; return the key of seccomp rules that are compiled by it."""
        mount_root(self._root / record.config.id, image.layers)
        (self._run / record.config.id).mkdir(exist_ok=True, mode=0o700)
        record.config.log.mkdir(parents=True, exist_ok=True, mode=0o750)
        _drop_old_logs(record.config.log, keep=number - record.config.log_max_files)
        path = self._root / record.config.id / "config.json"
        data = path.read_bytes()
        if ANNOTATION.encode() in data:
            return None
        bundle = json.loads(data)
        compiles = self._filters.add_to(bundle)
        if ANNOTATION in bundle.get("annotations", {}):
            write_atomic(path, json.dumps(bundle).encode())
        return compiles

    async def _clear(self, container: ContainerId) -> None:
        """Remove what a run left: the runtime's state, its cgroups, its watch."""
        # The runtime's own `delete` is not asked: all it would do is kill, and remove the same
        # cgroup and the same folder, and it answers 0 whether it did so or not.
        self._unwatch(container)
        await in_thread(self._clear_files, container)

    def _clear_files(self, container: ContainerId) -> None:
        # A runtime killed in the middle leaves a mount in its own state, which then cannot go.
        state = self._instance.run / "oci" / container
        if state.exists():
            unmount_below(state)
        cgroups.remove(self._cgroup(container))
        shutil.rmtree(state, ignore_errors=True)

    def _delete(self, container: ContainerId) -> None:
        folder = self._root / container
        unmount_root(folder)
        shutil.rmtree(self._run / container, ignore_errors=True)
        (self._exits / container).unlink(missing_ok=True)
        for name in ("upper", "work", "merged"):
            shutil.rmtree(folder / name, ignore_errors=True)
        # The record goes last: until then the container is found, and removed again.
        shutil.rmtree(folder, ignore_errors=True)
        path = self._cgroup(container)
        cgroups.remove_if_empty(str(Path(path).parent))
        cgroups.remove_if_empty(self._instance.cgroup)

    def _sweep(self) -> Sequence[str]:
        # Listed before it is asked who they belong to: what is made meanwhile is not listed.
        folders = list(self._root.iterdir())
        running = [*self._run.iterdir(), *(self._instance.run / "oci").iterdir()]
        stacks = [
            f"{self._instance.cgroup}/{one}" for one in cgroups.children(self._instance.cgroup)
        ]
        groups = [f"{stack}/{name}" for stack in stacks for name in cgroups.children(stack)]
        busy = {name for name, lock in list(self._locks.items()) if lock.locked()}
        known = set(self._records) | busy
        wanted = {self._cgroup(name) for name in known}
        wanted |= {self._guess_cgroup(name) for name in busy}
        found: list[str] = []
        for folder in folders:
            if folder.name not in known and not (folder / "record.json").exists():
                unmount_root(folder)
                shutil.rmtree(folder, ignore_errors=True)
                found.append(f"half-made container {folder.name}")
        for folder in running:
            if folder.name not in known:
                unmount_below(folder)
                shutil.rmtree(folder, ignore_errors=True)
        for group in groups:
            if group not in wanted:
                cgroups.remove(group)
                found.append(f"cgroup {group}")
        for above in (*stacks, self._instance.cgroup):
            cgroups.remove_if_empty(above)
        return found

    # ── knowing ──────────────────────────────────────────────────────────────────────────

    def _phase(self, container: ContainerId) -> ContainerPhase:
        state = self._states.get(container)
        if state is None:
            return Created()
        if state.code is None and state.boot != records.boot_id():
            now = self._clock()
            state = replace(state, code=UNKNOWN, ended=now, why=REBOOT)
            self._save(container, state)
        if state.code is None:
            return Running(
                pid=state.pid, run=state.run, started=state.started, stop_by=state.stop_by
            )
        ended = state.ended if state.ended is not None else state.started
        same_boot = state.boot == records.boot_id()
        return Exited(
            code=state.code,
            run=state.run,
            at=min(ended, self._clock()) if same_boot else 0.0,
            lived=max(ended - state.started, 0.0) if same_boot else 0.0,
            oom=state.oom,
            # It did not end by itself: the machine did.
            stopped=state.stop_by is not None or state.why == REBOOT,
            why=state.why,
        )

    def _main_processes(self) -> set[int]:
        return {state.pid for state in self._states.values() if state.code is None}

    def _is_prepared(self, container: ContainerId) -> bool:
        return (
            isinstance(self._phase(container), Running)
            or (self._run / container / "files").is_dir()
        )

    def _known(self, container: ContainerId, verb: str) -> Record:
        record = self._records.get(container)
        if record is None:
            raise NotFoundError(verb, container, "there is no such container")
        return record

    def _running(self, container: ContainerId, verb: str) -> RunState:
        self._known(container, verb)
        state = self._states.get(container)
        if state is None or state.code is not None:
            raise NotFoundError(verb, container, "it does not run")
        return state

    def _send(self, container: ContainerId, state: RunState, number: int) -> None:
        fd = self._watches.get(container)
        if fd is None or not records.is_alive(state):
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, number)

    def _save(self, container: ContainerId, state: RunState) -> None:
        self._states[container] = state
        records.save_state(self._root / container / "state.json", state)

    def _cgroup(self, container: ContainerId, config: ContainerConfig | None = None) -> str:
        if config is None and container in self._records:
            config = self._records[container].config
        if config is None:
            return self._guess_cgroup(container)
        return f"{self._instance.cgroup}/{config.cgroup}"

    def _guess_cgroup(self, container: ContainerId) -> str:
        stack, _, rest = container.partition(".")
        return f"{self._instance.cgroup}/{stack}/{rest}"

    @cached_property
    def _command(self) -> Sequence[str]:
        return (self.runtime, f"--root={self._instance.run / 'oci'}")

    def _monitor(self, config: ContainerConfig, number: int) -> Monitor:
        return Monitor(
            container=config.id,
            bundle=self._root / config.id,
            run=self._run / config.id,
            exits=self._exits,
            log=config.log / f"{number}.log",
            runtime=shutil.which(self.runtime) or self.runtime,
            runtime_args=self._command[1:],
            tty=config.tty,
            stdin=config.stdin_open,
        )

    # ── watching ─────────────────────────────────────────────────────────────────────────

    def _watch(self, container: ContainerId, state: RunState) -> None:
        self._unwatch(container)
        self._ended[container] = asyncio.Event()
        try:
            if not records.is_alive(state):
                raise ProcessLookupError
            fd = os.pidfd_open(state.pid)
        except ProcessLookupError:
            self._begin_end(container, None)
            return
        self._watches[container] = fd
        asyncio.get_running_loop().add_reader(fd, self._begin_end, container, fd)

    def _unwatch(self, container: ContainerId) -> None:
        fd = self._watches.pop(container, None)
        if fd is not None:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)

    def _begin_end(self, container: ContainerId, fd: int | None) -> None:
        if fd is not None:
            asyncio.get_running_loop().remove_reader(fd)
        task = asyncio.ensure_future(self._end(container))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self, container: ContainerId) -> None:
        state = self._states.get(container)
        record = self._records.get(container)
        if state is None or record is None or state.code is not None:
            return
        ended = self._clock()
        code, why = await self._exit_code(container, record.config, state)
        oom = await in_thread(cgroups.oom_kills, self._cgroup(container)) > 0
        self._unwatch(container)
        await self._reap_monitor(container)
        state = self._states[container]
        if state.code is None:
            self._save(container, replace(state, code=code, ended=ended, why=why, oom=oom))
        self._ended[container].set()
        for callback in self._callbacks:
            callback(container)

    async def _exit_code(
        self, container: ContainerId, config: ContainerConfig, state: RunState
    ) -> tuple[int, str]:
        monitor = self._monitor(config, state.run)
        collected = self._collect(container, state)
        # conmon writes the file within milliseconds; without conmon nobody will.
        for _ in range(500):
            code = monitor.exit_code()
            if code is not None:
                return code, ""
            if collected is not None:
                return collected, "monitor died"
            if not monitor.is_alive():
                break
            await asyncio.sleep(0.002)
        code = monitor.exit_code()
        return (UNKNOWN, "monitor died") if code is None else (code, "")

    async def _reap_monitor(self, container: ContainerId) -> None:
        """Collect conmon itself: it detached from its parent, and so came to a subreaper."""
        try:
            pid = int((self._run / container / "conmon.pid").read_text())
            for _ in range(200):
                if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is not None:
                    return
                await asyncio.sleep(0.002)
        except (ChildProcessError, FileNotFoundError, ValueError):
            return

    def _collect(self, container: ContainerId, state: RunState) -> int | None:
        """Reap the process ourselves, where its monitor died and it came to us."""
        fd = self._watches.get(container)
        if fd is None or not records.owned_by_us(state.pid):
            return None
        with contextlib.suppress(ChildProcessError):
            found = os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOHANG)
            if found is not None:
                killed = found.si_code != os.CLD_EXITED
                return found.si_status + 128 if killed else found.si_status
        return None


def choose_runtime() -> tuple[str, str]:
    """Return the runtime to use here, and one sentence where it is not crun."""
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


def signal_number(name: str) -> int:
    """Return a signal's number from its name, with or without SIG, or from its number.

    Raises ConflictError for a signal that does not exist.
    """
    text = name.strip().upper()
    if text.isdigit() and 1 <= int(text) <= signal.SIGRTMAX:
        return int(text)
    text = text if text.startswith("SIG") else f"SIG{text}"
    base, _, offset = text.partition("+")
    found = getattr(signal, base, None)
    if found is None or (offset and not offset.isdigit()):
        raise ConflictError("send signal", name, "there is no such signal")
    return int(found) + int(offset or 0)


def _init_mount(container: ContainerId) -> dict[str, object]:
    for path in INIT_PATHS:
        if os.access(path, os.X_OK):
            return {
                "destination": INIT_TARGET,
                "type": "bind",
                "source": path,
                "options": ["rbind", "ro", "nosuid", "nodev"],
            }
    raise UnsupportedError(
        "create container",
        container,
        "`init: true` needs a reaper and none is installed",
        hint="apt-get install catatonit",
    )


def _drop_old_logs(folder: Path, *, keep: int) -> None:
    for path in folder.glob("*.log"):
        if path.stem.isdigit() and int(path.stem) <= keep:
            path.unlink(missing_ok=True)
