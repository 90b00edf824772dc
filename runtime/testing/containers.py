"""Containers in memory: their processes do what a test says they do."""

import asyncio
import itertools
import os
import signal
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from typing_extensions import override

from runtime.drivers import ContainerDriver, ExecSession, OnExit, OnLost, OnOom
from runtime.errors import AlreadyExistsError, ConflictError, NotFoundError, UnsupportedError
from runtime.testing.faults import Faults
from runtime.testing.images import FakeImages
from runtime.testing.volumes import FakeVolumes
from runtime.types import (
    ContainerConfig,
    ContainerFacts,
    ContainerId,
    ContainerPhase,
    Created,
    ExecConfig,
    ExecProbe,
    Exited,
    Limits,
    LogDriver,
    Mount,
    MountKind,
    Probe,
    ProbeOutput,
    ProcessFacts,
    Reached,
    Running,
    Usage,
    VolumeId,
)

PROBE_OUTPUT = 4096
NO_SUCH_PROGRAM = 127
NO_CEILING = Limits(pids=None)
OUT_OF_MEMORY = "out of memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a process does: runs until it is told to end, unless ``code`` is given."""

    code: int | None = None
    """It ends by itself with this code, after ``lives`` seconds."""
    lives: float = 0.0
    output: bytes = b""
    errors: bytes = b""
    echoes: bool = False
    """It sends its input back and ends with 0 at the end of it."""
    makes: str = ""
    """A file it makes in the container's root before anything else."""
    needs: str = ""
    """A file without which it ends with 1."""
    missing: bool = False
    """It is not there: its run ends with 127 before it begins."""
    signals: Mapping[int, int] = field(default_factory=lambda: {signal.SIGTERM: 143})
    """Signals it ends at, and with which code; it ignores others."""


@dataclass(slots=True, kw_only=True)
class _Box:
    config: ContainerConfig
    created_wall: float
    phase: ContainerPhase = field(default_factory=Created)
    program: Program = field(default_factory=Program)
    files: set[str] = field(default_factory=set)
    sessions: "list[FakeSession]" = field(default_factory=list)
    end: asyncio.TimerHandle | None = None


@dataclass(slots=True, kw_only=True)
class FakeContainers(Faults, ContainerDriver):
    """Keeps the promises of :class:`ContainerDriver`.

    A main process whose command line is not in ``programs`` is an ordinary server: it runs
    until SIGTERM. A command run beside it that is not in there does not exist.
    """

    images: FakeImages
    volumes: FakeVolumes
    clock: Callable[[], float]
    programs: dict[tuple[str, ...], Program] = field(default_factory=dict)
    answers: dict[Probe, int] = field(default_factory=dict)
    """What probes that are no commands come to; 1 where it does not say."""
    probed: list[tuple[ContainerId, float]] = field(default_factory=list)
    """Every probe and when it began."""
    roots: dict[ContainerId, Path] = field(default_factory=dict)
    """Where the files of containers are, of those that have any."""
    ceilings: dict[str, Limits] = field(default_factory=dict)
    usages: dict[ContainerId, Usage] = field(default_factory=dict)
    """What containers use, where it is said."""
    memory: dict[ContainerId, int] = field(default_factory=dict)
    """How much of it a container uses."""
    runtimes: tuple[str, ...] = ("crun", "runc")
    platforms: tuple[str, ...] = ("linux/amd64",)
    described: tuple[str, ...] = ()
    """Devices by the names their makers gave them."""
    leftovers: list[str] = field(default_factory=list)
    """What the next sweep finds and removes."""
    _boxes: dict[ContainerId, _Box] = field(default_factory=dict)
    _attached: "dict[ContainerId, list[FakeAttached]]" = field(default_factory=dict)
    _callbacks: list[OnExit] = field(default_factory=list)
    _oom_callbacks: list[OnOom] = field(default_factory=list)
    _lost_callbacks: list[OnLost] = field(default_factory=list)
    _pids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1000))

    # ── the protocol ─────────────────────────────────────────────────────────────────────

    @override
    async def list(self) -> tuple[ContainerFacts, ...]:
        await self.look("list")
        return tuple(
            ContainerFacts(
                id=container,
                image=box.config.image,
                labels={**box.config.remarks, **box.config.labels},
                phase=box.phase,
                created_wall=box.created_wall,
                log=box.config.log,
                tty=box.config.tty,
                logged=box.config.logging.driver is not LogDriver.NONE,
                mounts=box.config.mounts,
                limits=box.config.limits,
            )
            for container, box in sorted(self._boxes.items())
        )

    @override
    async def create(self, config: ContainerConfig) -> None:
        await self.change("create", config.id)
        found = self._boxes.get(config.id)
        if found is not None:
            if _settled(found.config) == _settled(config):
                found.config = replace(found.config, mounts=config.mounts)
                raise AlreadyExistsError("create container", config.id, "it exists")
            raise ConflictError("create container", config.id, "it exists with other settings")
        if self.images.find_now(config.image) is None:
            raise NotFoundError(
                "create container", config.id, f"image `{config.image}` is not in the store"
            )
        for given in config.mounts:
            volume = VolumeId(given.source)
            if given.kind is MountKind.VOLUME and not self.volumes.exists(volume):
                raise NotFoundError("mount volume", given.source, "it does not exist")
            if given.kind is MountKind.IMAGE and self.images.find_now(given.source) is None:
                cause = f"image `{given.source}` is not in the store"
                raise NotFoundError("mount at", given.target, cause)
        for name in (config.network, config.pid, config.ipc):
            donor = self._boxes.get(ContainerId(name))
            if donor is None and "." in name:
                raise NotFoundError("create container", config.id, f"there is no `{name}` to join")
        shared = self._boxes.get(ContainerId(config.ipc))
        if shared is not None and shared.config.ipc != "shareable":
            cause = f"`{config.ipc}` does not share its memory"
            raise ConflictError("create container", config.id, cause)
        self._boxes[config.id] = _Box(config=config, created_wall=self.clock())

    @override
    async def limit(self, container: ContainerId, limits: Limits) -> None:
        await self.change("limit", container)
        box = self._known(container, "limit")
        uses = self.memory.get(container, 0)
        if limits.memory is not None and isinstance(box.phase, Running) and uses > limits.memory:
            raise ConflictError("limit", container, f"it uses {uses} bytes of memory now")
        box.config = replace(box.config, limits=limits)

    @override
    async def refresh(
        self, container: ContainerId, files: Sequence[Mount], then: Callable[[], Awaitable[None]]
    ) -> None:
        await self.change("refresh", container)
        box = self._known(container, "refresh")
        wanted = {given.target: given for given in files if given.digest}
        mounts = tuple(wanted.get(given.target, given) for given in box.config.mounts)
        await then()
        box.config = replace(box.config, mounts=mounts)

    @override
    async def check(
        self, *, runtime: str | None, cdi: Sequence[str], platform: str | None = None
    ) -> None:
        await self.look("check")
        if platform not in (None, *self.platforms):
            raise UnsupportedError("run programs of", str(platform), "this machine does not")
        if runtime not in (None, *self.runtimes):
            raise UnsupportedError("use runtime", str(runtime), "it is not installed")
        for name in cdi:
            if name not in self.described:
                raise NotFoundError("pass on device", name, "nothing describes it")

    @override
    async def bound(self, group: str, ceiling: Limits) -> None:
        await self.change("bound", group)
        self.ceilings[group] = ceiling

    @override
    async def ceiling(self, group: str) -> Limits:
        await self.look("ceiling", group)
        return self.ceilings.get(group, NO_CEILING)

    @override
    async def usage(self) -> Mapping[ContainerId, Usage]:
        await self.look("usage")
        return {
            name: self.usages.get(name, Usage(cpu=0.0, memory=self.memory.get(name, 0), pids=1))
            for name, box in self._boxes.items()
            if isinstance(box.phase, Running)
        }

    @override
    async def start(self, container: ContainerId) -> None:
        await self.change("start", container)
        box = self._known(container, "start container")
        if isinstance(box.phase, Running):
            return
        image = self.images.find_now(box.config.image)
        if image is None:
            raise NotFoundError("start container", container, "its image is gone")
        joined = self._boxes.get(ContainerId(box.config.pid))
        if joined is not None and not isinstance(joined.phase, Running):
            cause = f"`{box.config.pid}`, whose processes it shares, does not run"
            raise ConflictError("start container", container, cause)
        run = box.phase.run + 1 if isinstance(box.phase, Exited) else 1
        own = box.config.entrypoint
        entrypoint = image.config.entrypoint if own is None else own
        command = box.config.command or (() if own else image.config.command)
        box.program = self.programs.get((*entrypoint, *command), Program())
        if box.program.missing:
            self._fail(box, run)
            return
        box.phase = Running(pid=next(self._pids), run=run, started=self.clock())
        for session in self._attached.get(container, ()):
            session.join(box.program, tty=box.config.tty)
        code = _begin(box.program, box.files)
        if code is not None:
            loop = asyncio.get_running_loop()
            box.end = loop.call_later(box.program.lives, self._end, box, code)

    @override
    async def stop(self, container: ContainerId, *, grace: float) -> None:
        await self.change("stop", container)
        box = self._boxes.get(container)
        if box is None or not isinstance(box.phase, Running) or box.phase.stop_by is not None:
            return
        box.phase = replace(box.phase, stop_by=self.clock() + grace, paused=False)
        image = self.images.find_now(box.config.image)
        name = box.config.stop_signal or (image.config.stop_signal if image else "") or "SIGTERM"
        self._deliver(box, int(signal.Signals[name]))

    @override
    async def pause(self, container: ContainerId, *, paused: bool) -> None:
        await self.change("pause", container)
        box = self._running(container, "pause container")
        if isinstance(box.phase, Running) and box.phase.stop_by is None:
            box.phase = replace(box.phase, paused=paused)

    @override
    async def processes(self, container: ContainerId) -> Sequence[ProcessFacts]:
        await self.look("processes", container)
        box = self._running(container, "list processes of container")
        pid = box.phase.pid if isinstance(box.phase, Running) else 0
        command = " ".join(box.config.command or ())
        return (
            ProcessFacts(
                pid=pid, parent=1, uid=0, cpu=0.0, started=0.0, terminal=False, command=command
            ),
        )

    @override
    async def kill(self, container: ContainerId) -> None:
        await self.change("kill", container)
        box = self._boxes.get(container)
        if box is None or not isinstance(box.phase, Running):
            return
        if box.phase.stop_by is None:
            box.phase = replace(box.phase, stop_by=self.clock())
        self._end(box, 128 + signal.SIGKILL)

    @override
    async def signal(self, container: ContainerId, number: int) -> None:
        await self.change("signal", container)
        self._deliver(self._running(container, "signal container"), number)

    @override
    async def remove(self, container: ContainerId) -> None:
        await self.change("remove", container)
        box = self._boxes.get(container)
        if box is not None and isinstance(box.phase, Running):
            raise ConflictError("remove container", container, "it runs")
        self._boxes.pop(container, None)

    @override
    async def pack(self, container: ContainerId, target: Path, *, changes: bool) -> None:
        await self.look("pack", container)
        box = self._known(container, "pack container")
        with tarfile.open(target, "x") as archive:
            for name in sorted(box.files):
                archive.addfile(tarfile.TarInfo(name))

    @override
    @asynccontextmanager
    async def reach(self, container: ContainerId) -> AsyncIterator[Reached]:
        await self.look("reach", container)
        box = self._known(container, "reach files of container")
        running = isinstance(box.phase, Running)
        root = os.open(self.roots[container], os.O_PATH | os.O_DIRECTORY)
        try:
            yield Reached(root, () if running else tuple(one.target for one in box.config.mounts))
        finally:
            os.close(root)

    @override
    async def exec(self, container: ContainerId, config: ExecConfig) -> "FakeSession":
        await self.change("exec", container)
        return self._exec(self._running(container, "run a command in container"), config)

    @override
    async def attach(self, container: ContainerId) -> "FakeAttached":
        await self.look("attach", container)
        session = FakeAttached(
            feed=partial(self._fed, container), send=partial(self._sent, container)
        )
        self._attached.setdefault(container, []).append(session)
        box = self._boxes.get(container)
        if box is not None and isinstance(box.phase, Running):
            session.join(replace(box.program, output=b"", errors=b""), tty=box.config.tty)
        return session

    @override
    async def probe(self, container: ContainerId, probe: Probe, *, timeout: float) -> ProbeOutput:
        self.probed.append((container, self.clock()))
        await self.look("probe", container)
        box = self._running(container, "run a command in container")
        if not isinstance(probe, ExecProbe):
            return ProbeOutput(code=self.answers.get(probe, 1), output=b"")
        session = self._exec(box, ExecConfig(argv=probe.argv))
        try:
            async with asyncio.timeout(timeout):
                await session.write(b"")
                code = await session.wait()
        except TimeoutError:
            code = -1
        finally:
            await session.close()
        return ProbeOutput(code=code, output=session.printed[:PROBE_OUTPUT])

    @override
    def on_exit(self, callback: OnExit) -> None:
        self._callbacks.append(callback)

    @override
    def on_lost(self, callback: OnLost) -> None:
        self._lost_callbacks.append(callback)

    @override
    def on_oom(self, callback: OnOom) -> None:
        self._oom_callbacks.append(callback)

    @override
    async def sweep(self) -> Sequence[str]:
        await self.look("sweep")
        found, self.leftovers = self.leftovers, []
        return found

    @override
    async def close(self) -> None:
        await self.look("close")
        self._callbacks.clear()

    # ── what the world does to it ────────────────────────────────────────────────────────

    def end(self, container: ContainerId, code: int, *, oom: bool = False) -> None:
        """Have a running container end by itself, now."""
        self._end(self._running(container, "end"), code, oom=oom)

    def lose_monitor(self, container: ContainerId) -> None:
        """Have the monitor of a running container die."""
        box = self._running(container, "lose monitor")
        if isinstance(box.phase, Running):
            box.phase = replace(box.phase, monitored=False)
        for callback in self._lost_callbacks:
            callback(container)

    def run_out_of_memory(self, container: ContainerId) -> None:
        """Have a process of a running container killed that is not its main one."""
        self._running(container, "end")
        for callback in self._oom_callbacks:
            callback(container, OUT_OF_MEMORY)

    def reboot(self) -> None:
        """End everything as a power cut does: nobody sees it, and nobody is told."""
        for box in self._boxes.values():
            if isinstance(box.phase, Running):
                _cut(box)
                box.phase = Exited(
                    code=255,
                    run=box.phase.run,
                    at=0.0,
                    lived=0.0,
                    stopped=True,
                    before_boot=True,
                    why="host reboot",
                )
            elif isinstance(box.phase, Exited):
                box.phase = replace(box.phase, at=0.0, lived=0.0, before_boot=True)

    def names(self) -> tuple[ContainerId, ...]:
        """Return the id of every container, sorted."""
        return tuple(sorted(self._boxes))

    def phase(self, container: ContainerId) -> ContainerPhase:
        """Return the phase :meth:`list` reports of one container."""
        return self._boxes[container].phase

    def config(self, container: ContainerId) -> ContainerConfig:
        """Return what a container was made from."""
        return self._boxes[container].config

    # ── inside ───────────────────────────────────────────────────────────────────────────

    def _known(self, container: ContainerId, verb: str) -> _Box:
        box = self._boxes.get(container)
        if box is None:
            raise NotFoundError(verb, container, "there is no such container")
        return box

    def _running(self, container: ContainerId, verb: str) -> _Box:
        box = self._known(container, verb)
        if not isinstance(box.phase, Running):
            raise NotFoundError(verb, container, "it does not run")
        return box

    def _exec(self, box: _Box, config: ExecConfig) -> "FakeSession":
        program = self.programs.get(config.argv)
        if program is None or program.missing:
            program = Program(
                code=NO_SUCH_PROGRAM, errors=f"{config.argv[0]}: not found\n".encode()
            )
        session = FakeSession(program, code=_begin(program, box.files), tty=config.tty)
        box.sessions.append(session)
        return session

    def _sent(self, container: ContainerId, number: int) -> None:
        box = self._boxes.get(container)
        if box is not None:
            self._deliver(box, number)

    def _fed(self, container: ContainerId, data: bytes) -> None:
        box = self._boxes[container]
        if not box.config.stdin_open or not box.program.echoes:
            return
        for session in self._attached.get(container, ()):
            session.hear(data)
        if not data and box.config.stdin_once:
            self._end(box, 0)

    def _deliver(self, box: _Box, number: int) -> None:
        code = 128 + number if number == signal.SIGKILL else box.program.signals.get(number)
        if code is not None and isinstance(box.phase, Running):
            asyncio.get_running_loop().call_soon(self._end_run, box, box.phase.run, code)

    def _end_run(self, box: _Box, run: int, code: int) -> None:
        if isinstance(box.phase, Running) and box.phase.run == run:
            self._end(box, code)

    def _end(self, box: _Box, code: int, *, oom: bool = False) -> None:
        if not isinstance(box.phase, Running):
            return
        now = self.clock()
        box.phase = Exited(
            code=code,
            run=box.phase.run,
            at=now,
            lived=now - box.phase.started,
            oom=oom,
            why=OUT_OF_MEMORY if oom else "",
            stopped=box.phase.stop_by is not None,
        )
        _cut(box)
        self._tell(box.config.id, box.phase)

    def _fail(self, box: _Box, run: int) -> None:
        why = "its program was not found"
        box.phase = Exited(
            code=NO_SUCH_PROGRAM, run=run, at=self.clock(), lived=0.0, why=why, began=False
        )
        self._tell(box.config.id, box.phase)

    def _tell(self, container: ContainerId, exited: Exited) -> None:
        for session in self._attached.pop(container, ()):
            session.end(exited.code)
        for callback in self._callbacks:
            callback(container, exited)


class FakeSession(ExecSession):
    """A process beside a container's main one."""

    def __init__(self, program: Program, *, code: int | None, tty: bool) -> None:
        """Run ``program``; ``code`` is what it ends with by itself, if it does."""
        self.size: tuple[int, int] | None = None
        self.printed = b""
        self._program = program
        self._tty = tty
        self._chunks: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._print(1, program.output)
        self._print(1 if tty else 2, program.errors)
        if code is not None:
            asyncio.get_running_loop().call_later(program.lives, self._end, code)

    @override
    async def read(self) -> tuple[int, bytes]:
        if self._code.done() and self._chunks.empty():
            return (0, b"")
        return await self._chunks.get()

    @override
    async def write(self, data: bytes) -> None:
        if self._program.echoes and not self._code.done():
            if data:
                self._print(1, data)
            else:
                self._end(0)

    @override
    async def resize(self, columns: int, rows: int) -> None:
        if self._tty:
            self.size = (columns, rows)

    @override
    async def signal(self, number: int) -> None:
        code = 128 + number if number == signal.SIGKILL else self._program.signals.get(number)
        if code is not None:
            self._end(code)

    @override
    async def wait(self) -> int:
        return await asyncio.shield(self._code)

    @override
    async def close(self) -> None:
        self._end(128 + signal.SIGKILL)

    def cut(self) -> None:
        """End it with its container."""
        self._end(128 + signal.SIGKILL)

    def _print(self, stream: int, data: bytes) -> None:
        if data:
            self.printed += data
            self._chunks.put_nowait((stream, data))

    def _end(self, code: int) -> None:
        if not self._code.done():
            self._code.set_result(code)
            self._chunks.put_nowait((0, b""))


class FakeAttached(FakeSession):
    """One who takes part in the streams of a main process."""

    def __init__(self, *, feed: Callable[[bytes], None], send: Callable[[int], None]) -> None:
        """Wait for a run; ``feed`` passes on what is written, ``send`` signals."""
        super().__init__(Program(), code=None, tty=False)
        self._feed = feed
        self._send = send

    @override
    async def write(self, data: bytes) -> None:
        self._feed(data)

    @override
    async def signal(self, number: int) -> None:
        self._send(number)

    @override
    async def close(self) -> None:
        self._chunks.put_nowait((0, b""))

    def join(self, program: Program, *, tty: bool) -> None:
        """Take part in a run of ``program``."""
        self._tty = tty
        self._print(1, program.output)
        self._print(1 if tty else 2, program.errors)

    def hear(self, data: bytes) -> None:
        """Hear what the main process says."""
        self._print(1, data)

    def end(self, code: int) -> None:
        """Learn how the run ended."""
        self._end(code)


def _settled(config: ContainerConfig) -> ContainerConfig:
    """Return what of a configuration makes another container where it is another one."""
    mounts = tuple(
        replace(given, content=b"", digest="") if given.digest else given for given in config.mounts
    )
    return replace(config, mounts=mounts, limits=Limits(), remarks={})


def _begin(program: Program, files: set[str]) -> int | None:
    """Do what a program does first; return what it then ends with by itself, if it does."""
    if program.makes:
        files.add(program.makes)
    if program.needs and program.needs not in files:
        return 1
    return program.code


def _cut(box: _Box) -> None:
    if box.end is not None:
        box.end.cancel()
        box.end = None
    for session in box.sessions:
        session.cut()
    box.sessions.clear()
