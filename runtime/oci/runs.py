"""Runs of containers: which process is whose, when it ends, and with which code.

Every running main process is held by a pidfd, so its end is known at once. conmon leaves the exit
code in a file; where conmon has died, this process is the parent and collects it.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from runtime import cgroups
from runtime.drivers import OnExit, OnLost, OnOom
from runtime.errors import NotFoundError, UnavailableError
from runtime.files import in_thread
from runtime.logs.keeping import KeptLog, LogKeeper
from runtime.oci import records
from runtime.oci.layout import Layout
from runtime.oci.records import Record, RunState
from runtime.oom import OomWatch, explain_oom, watch_oom
from runtime.types import (
    MONITOR_DIED,
    ContainerConfig,
    ContainerId,
    ContainerPhase,
    Created,
    Exited,
    LogDriver,
    Running,
)

UNKNOWN = 255
REBOOT = "host reboot"
OOM_PAUSE = 0.05
"""Seconds between two looks for a process the kernel is about to kill."""


class Runs:
    """The current or last run of every container of an instance."""

    def __init__(
        self,
        layout: Layout,
        known: dict[ContainerId, Record],
        logs: LogKeeper,
        clock: Callable[[], float],
    ) -> None:
        """Watch the containers of ``known``, which others keep; nothing is touched yet."""
        self._layout = layout
        self._records = known
        self._logs = logs
        self._clock = clock
        self._states: dict[ContainerId, RunState] = {}
        self._watches: dict[ContainerId, int] = {}
        self._ended: dict[ContainerId, asyncio.Event] = {}
        self._ooms: dict[ContainerId, OomWatch] = {}
        self._killed: dict[ContainerId, int] = {}
        """How many processes of a container are known to have been killed for want of memory."""
        self._callbacks: list[OnExit] = []
        self._oom_callbacks: list[OnOom] = []
        self._monitors: dict[ContainerId, int] = {}
        self._lost_callbacks: list[OnLost] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def on_exit(self, callback: OnExit) -> None:
        """Have ``callback`` told of every run that has ended."""
        self._callbacks.append(callback)

    def on_oom(self, callback: OnOom) -> None:
        """Have ``callback`` told when memory has run out in a container."""
        self._oom_callbacks.append(callback)

    def on_lost(self, callback: OnLost) -> None:
        """Have ``callback`` told when the monitor of a container that runs has died."""
        self._lost_callbacks.append(callback)

    def load(self, container: ContainerId) -> None:
        """Read what is remembered of a container's run, and watch it where it lasts."""
        state = records.load_state(self._layout.data / container / "state.json")
        if state is not None:
            self._states[container] = state
            if state.code is None:
                self._watch(container, state)
                self.send_owed(container)

    def begin(self, container: ContainerId, number: int, pid: int) -> None:
        """Remember that ``pid`` is a container's main process, and watch it. Raises OSError."""
        ticks = records.start_ticks(pid)
        state = RunState(
            run=number,
            pid=pid,
            start_ticks=ticks if ticks is not None else 0,
            boot=records.boot_id(),
            started=self._clock(),
        )
        # Written down first: a run no other daemon could find must not be.
        self._write(container, state)
        self._states[container] = state
        self._watch(container, state)

    def fail(self, container: ContainerId, number: int, code: int, why: str) -> None:
        """Remember a run that ended before its program began, and tell of it."""
        now = self._clock()
        state = RunState(
            run=number,
            pid=0,
            start_ticks=0,
            boot=records.boot_id(),
            started=now,
            code=code,
            ended=now,
            why=why,
        )
        self._note(container, state)
        self._tell(container)

    def last(self, container: ContainerId) -> int:
        """Return the number of a container's last run; 0 before the first."""
        state = self._states.get(container)
        return state.run if state else 0

    def phase(self, container: ContainerId) -> ContainerPhase:
        """Return whether a container runs, and how its last run ended."""
        state = self._states.get(container)
        if state is None:
            return Created()
        if state.code is None and state.boot != records.boot_id():
            now = self._clock()
            state = replace(state, code=UNKNOWN, ended=now, why=REBOOT)
            self._note(container, state)
        if state.code is None:
            return Running(
                pid=state.pid,
                run=state.run,
                started=state.started,
                stop_by=state.stop_by,
                monitored=not state.lost,
                paused=state.paused,
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
            before_boot=not same_boot,
            why=state.why,
            began=state.pid != 0,
        )

    def open_namespace(self, container: ContainerId, kind: str) -> int | None:
        """Return a descriptor of a namespace a run is in, as of ``net``; None where none runs."""
        state = self._states.get(container)
        if state is None or state.code is not None:
            return None
        try:
            namespace = os.open(f"/proc/{state.pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        if records.is_alive(state):
            return namespace
        # Its number is somebody else's by now.
        os.close(namespace)
        return None

    def is_running(self, container: ContainerId) -> bool:
        """Whether a container runs."""
        return isinstance(self.phase(container), Running)

    def lasting(self, container: ContainerId) -> RunState | None:
        """Return the run of a container that lasts, if one does."""
        state = self._states.get(container)
        return None if state is None or state.code is not None else state

    def running(self, container: ContainerId, verb: str) -> RunState:
        """Return the run of a container. Raises NotFoundError where none lasts."""
        state = self.lasting(container)
        if state is None:
            raise NotFoundError(verb, container, "it does not run")
        return state

    def main_processes(self) -> set[int]:
        """Return the pids of all main processes."""
        return {state.pid for state in self._states.values() if state.code is None}

    def stop_by(
        self, container: ContainerId, state: RunState, deadline: float, *, owed: int = 0
    ) -> None:
        """Remember until when a container may take to stop, and the signal it is owed for that."""
        self._note(container, replace(state, stop_by=deadline, owed=owed))

    def send_owed(self, container: ContainerId) -> None:
        """Send the signal a container is owed: one whose sender died may come twice, none never."""
        state = self.lasting(container)
        if state is not None and state.owed:
            self.send(container, state, state.owed)
            self._note(container, replace(state, owed=0))

    def pause(self, container: ContainerId, state: RunState, *, paused: bool) -> None:
        """Remember whether a container's processes stand still."""
        self._note(container, replace(state, paused=paused))

    def send(self, container: ContainerId, state: RunState, number: int) -> None:
        """Send a signal to a container's main process, if it still is that process."""
        fd = self._watches.get(container)
        if fd is None or not records.is_alive(state):
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, number)

    async def kill(self, container: ContainerId, state: RunState) -> None:
        """Kill a container and wait until its end is recorded. Raises UnavailableError."""
        ended = self._ended.setdefault(container, asyncio.Event())
        self.send(container, state, signal.SIGKILL)
        try:
            async with asyncio.timeout(cgroups.PATIENCE):
                await ended.wait()
        except TimeoutError:
            config = self._records[container].config
            await in_thread(cgroups.kill, self._layout.cgroup(config))
            raise UnavailableError("kill container", container, "it does not end") from None

    def forget(self, container: ContainerId) -> None:
        """Forget a container that is gone."""
        self.unwatch(container)
        self._states.pop(container, None)
        self._ended.pop(container, None)

    def unwatch(self, container: ContainerId) -> None:
        """Let go of a container's process."""
        fd = self._watches.pop(container, None)
        if fd is not None:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
        if watch := self._ooms.pop(container, None):
            watch.close()
        self._unwatch_monitor(container)

    def close(self) -> None:
        """Let go of everything; what runs goes on."""
        for container in tuple(self._watches):
            self.unwatch(container)
        for task in self._tasks:
            task.cancel()

    def _note(self, container: ContainerId, state: RunState) -> None:
        """Remember how a run goes on, on a full disk as well: another daemon finds it out again."""
        self._states[container] = state
        with contextlib.suppress(OSError):
            self._write(container, state)

    def _write(self, container: ContainerId, state: RunState) -> None:
        records.save_state(self._layout.data / container / "state.json", state)

    def _watch(self, container: ContainerId, state: RunState) -> None:
        self.unwatch(container)
        self._ended[container] = asyncio.Event()
        self._keep_log(container, state)
        try:
            if not records.is_alive(state):
                raise ProcessLookupError
            fd = os.pidfd_open(state.pid)
        except ProcessLookupError:
            self._begin_end(container, None)
            return
        self._watches[container] = fd
        asyncio.get_running_loop().add_reader(fd, self._begin_end, container, fd)
        self._watch_monitor(container, state)
        group = self._layout.cgroup(self._records[container].config)
        self._killed[container] = cgroups.oom_kills(group)
        watch = watch_oom(group, lambda: self._look_for_oom(container, group))
        if watch is not None:
            self._ooms[container] = watch

    def _keep_log(self, container: ContainerId, state: RunState) -> None:
        config = self._records[container].config
        monitor = self._layout.monitor(config, state.run)
        if config.logging.driver is LogDriver.NONE:
            return
        log = KeptLog(
            folder=config.log,
            run=state.run,
            config=config.logging,
            control=monitor.control,
            monitor=monitor.pid(),
            notes=self._layout.scratch / container / "log.json",
        )
        self._logs.begin(container, log)

    def _watch_monitor(self, container: ContainerId, state: RunState) -> None:
        monitor = self._layout.monitor(self._records[container].config, state.run)
        fd = None if state.lost else monitor.open()
        if fd is None:
            self._lose(container)
            return
        self._monitors[container] = fd
        asyncio.get_running_loop().add_reader(fd, self._lose, container)

    def _unwatch_monitor(self, container: ContainerId) -> None:
        fd = self._monitors.pop(container, None)
        if fd is not None:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)

    def _lose(self, container: ContainerId) -> None:
        """A monitor has ended: with its container, as it should, or under it."""
        self._unwatch_monitor(container)
        state = self.lasting(container)
        if state is not None and not state.lost and records.is_alive(state):
            self._note(container, replace(state, lost=True))
            for callback in self._lost_callbacks:
                callback(container)

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
        group = self._layout.cgroup(record.config)
        # Whose child was killed for it and that went on to its end did not die of it.
        oom = code != 0 and await in_thread(cgroups.oom_kills, group) > 0
        if oom:
            why = explain_oom(group, record.config.limits)
            self._look_for_oom(container, group)
        if record.config.pid:
            # Where it is not the first process of all it sees, those it began do not end with it.
            await in_thread(cgroups.kill, group)
        self.unwatch(container)
        # Before its monitor is collected: what it has counted goes with it.
        await self._logs.end(container)
        await self._reap_monitor(container)
        state = self._states[container]
        if state.code is None:
            self._note(container, replace(state, code=code, ended=ended, why=why, oom=oom))
        self._ended[container].set()
        self._tell(container)

    def _tell(self, container: ContainerId) -> None:
        phase = self.phase(container)
        if isinstance(phase, Exited):
            for callback in self._callbacks:
                callback(container, phase)

    def _look_for_oom(self, container: ContainerId, group: str, *, tries: int = 20) -> None:
        """Tell of a process killed for want of memory; the kernel tells before it kills."""
        record = self._records.get(container)
        if record is None or container not in self._ooms:
            return
        killed = cgroups.oom_kills(group)
        if killed > self._killed[container]:
            self._killed[container] = killed
            why = explain_oom(group, record.config.limits)
            for callback in self._oom_callbacks:
                callback(container, why)
        elif tries:
            again = partial(self._look_for_oom, container, group, tries=tries - 1)
            asyncio.get_running_loop().call_later(OOM_PAUSE, again)

    async def _exit_code(
        self, container: ContainerId, config: ContainerConfig, state: RunState
    ) -> tuple[int, str]:
        monitor = self._layout.monitor(config, state.run)
        collected = self._collect(container, state)
        # conmon writes the file within milliseconds; without conmon nobody will.
        for _ in range(500):
            code = monitor.exit_code()
            if code is not None:
                return code, ""
            if collected is not None:
                return collected, MONITOR_DIED
            if not monitor.is_alive():
                break
            await asyncio.sleep(0.002)
        code = monitor.exit_code()
        return (UNKNOWN, MONITOR_DIED) if code is None else (code, "")

    async def _reap_monitor(self, container: ContainerId) -> None:
        """Collect conmon itself: it detached from its parent, and so came to a subreaper."""
        try:
            pid = int((self._layout.scratch / container / "conmon.pid").read_text())
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
