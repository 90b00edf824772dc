"""`pyorchd`: build every object once, run them in one task group, leave containers running.

Only where the machine itself goes down are they stopped, too: in order, each with its grace.

The daemon may die at any moment and comes back to what runs: containers are held by their
monitors, networks and resolvers by the kernel and processes of their own.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NoReturn, TextIO

import structlog

from orchestrator import __version__, log, systemd
from orchestrator.builds import Builds
from orchestrator.chronicle import Chronicle
from orchestrator.errors import PyorchError
from orchestrator.events import EventBus
from orchestrator.notifier import Notifier
from orchestrator.observer import Drivers
from orchestrator.progress import Progress
from orchestrator.reconciler import Reconciler
from orchestrator.schedules import Schedules
from orchestrator.service import Orchestrator
from orchestrator.settings import Settings
from orchestrator.sources.disk import DiskWatch
from orchestrator.sources.drift import watch_drift
from orchestrator.sources.exits import watch_exits
from orchestrator.sources.hooks import HookRunner
from orchestrator.sources.losses import tell_losses
from orchestrator.sources.probes import Prober
from orchestrator.sources.refreshing import Refresher
from orchestrator.sources.timers import run_sweeps
from orchestrator.store import Store
from orchestrator.tally import Tally
from orchestrator.workqueue import WorkQueue

M_ARENA_MAX = -8
PR_SET_CHILD_SUBREAPER = 36
WAITERS = 16
"""Threads for calls that block."""

events_log = structlog.get_logger()


def main() -> NoReturn:
    """Run the daemon of this process until it is told to stop, and end it."""
    code = run()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # Everything is closed. To take the interpreter apart is most of what a daemon's end takes.
    os._exit(code)


def run() -> int:
    """Run the daemon until it is told to stop; return its exit code."""
    log.configure(verbose="-v" in sys.argv[1:])
    _share_memory()
    try:
        settings = Settings.from_environ()
        if os.geteuid() != 0:
            raise PyorchError("pyorchd needs root", hint="start it with sudo")
        with _only_one(settings):
            asyncio.run(serve(settings))
    except PyorchError as error:
        sys.stderr.write(f"error: {error}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        return error.exit_code
    return 0


def _share_memory() -> None:
    """Have all threads take memory from one place (mallopt(3)); elsewhere than in glibc they do.

    By itself each would come to hold a pool of its own for good, of what the largest thing it ever
    did has taken.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


async def serve(settings: Settings) -> None:
    """Own the daemon: until a signal or a request ends it."""
    # Orphans of dead monitors come to the daemon, so that their exit codes are not lost.
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    # What runs in threads waits for the kernel, not for a processor.
    loop.set_default_executor(ThreadPoolExecutor(WAITERS, thread_name_prefix="wait"))
    if sys.version_info < (3, 12):
        # Later versions watch children this way by themselves, and not with a thread for each.
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(loop)
        asyncio.set_child_watcher(watcher)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        store = Store(settings.data)
        stack.callback(store.close)
        drivers = await _open_drivers(settings, stack)
        orchestrator = build(settings, drivers, store, now=boot_clock)

        from orchestrator.api import serve_api

        async with running(orchestrator), asyncio.TaskGroup() as group:
            api = group.create_task(serve_api(orchestrator, stopping), name="api")
            events_log.info("daemon.started", version=__version__, pid=os.getpid())
            await stopping.wait()
            if await asyncio.to_thread(systemd.is_shutting_down):
                # Whoever ends the machine gives nobody's database its grace, and knows no order.
                events_log.info("daemon.halting")
                await orchestrator.draining.halt()
            api.cancel()
        events_log.info("daemon.stopped")


@asynccontextmanager
async def running(orchestrator: Orchestrator) -> AsyncIterator[None]:
    """Keep every stack as it is wanted while the context lasts; containers outlast it."""
    drivers, store, queue = orchestrator.drivers, orchestrator.store, orchestrator.queue
    await orchestrator.reconciler.preload()
    orchestrator.draining.resume()
    await drivers.containers.sweep()
    await drivers.networks.sweep()
    tell_losses(drivers.logs, orchestrator.reconciler.chronicle)
    await orchestrator.builds.clear()
    disk = DiskWatch(
        path=orchestrator.settings.data,
        limit=orchestrator.settings.disk_limit,
        tell=orchestrator.reconciler.chronicle.tell_all,
    )
    watch_exits(drivers.containers, queue, orchestrator.reconciler.chronicle)
    for known in store.stacks.all():
        queue.add(known.name)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(queue.run(), name="queue"),
            group.create_task(orchestrator.reconciler.prober.run(), name="prober"),
            group.create_task(orchestrator.reconciler.hooks.run(), name="hooks"),
            group.create_task(orchestrator.reconciler.refresher.run(), name="refresher"),
            group.create_task(orchestrator.notifier.run(), name="notifier"),
            group.create_task(watch_drift(drivers.networks), name="drift"),
            group.create_task(drivers.logs.run(), name="logs"),
            group.create_task(
                run_sweeps(drivers, store, queue, orchestrator.progress, disk), name="sweeps"
            ),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


def build(
    settings: Settings,
    drivers: Drivers,
    store: Store,
    *,
    now: Callable[[], float],
    wall: Callable[[], float] = time.time,
) -> Orchestrator:
    """Tie the parts together; nothing runs yet. ``now`` tells seconds since boot."""
    events = EventBus()
    queue = WorkQueue(work=lambda key: reconciler.run_pass(key))
    chronicle = Chronicle(store=store, events=events, now=now)
    tally, progress = Tally(), Progress(now)
    events.listen(lambda event: tally.note_fact(event.name))
    prober = Prober(containers=drivers.containers, wake=queue.add, tell=chronicle.tell, now=now)
    reconciler = Reconciler(
        settings=settings,
        drivers=drivers,
        store=store,
        events=events,
        chronicle=chronicle,
        now=now,
        prober=prober,
        hooks=HookRunner(
            containers=drivers.containers,
            store=store,
            wake=queue.add,
            tell=chronicle.tell,
        ),
        schedules=Schedules(store=store, tell=chronicle.tell, now=now, wall=wall),
        refresher=Refresher(containers=drivers.containers, wake=queue.add, tell=chronicle.tell),
        progress=progress,
        tally=tally,
    )
    notifier = Notifier(wishes=reconciler.wishes_of, tell=chronicle.tell, instance=settings.name)
    events.listen(notifier.note)
    orchestrator = Orchestrator(
        settings=settings,
        drivers=drivers,
        store=store,
        events=events,
        queue=queue,
        reconciler=reconciler,
        progress=progress,
        tally=tally,
        notifier=notifier,
        builds=Builds(
            settings=settings, drivers=drivers, store=store, publisher=reconciler.publisher
        ),
    )
    drivers.images.keep_for(orchestrator.needed_images)
    return orchestrator


def boot_clock() -> float:
    """Return seconds since boot, time asleep included: nobody can set this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


async def _open_drivers(settings: Settings, stack: AsyncExitStack) -> Drivers:
    from runtime.build.builder import Builder
    from runtime.image import Images
    from runtime.logs import LocalSockets, LogKeeper
    from runtime.network import Networks
    from runtime.oci import Containers
    from runtime.volumes import Volumes

    instance = settings.instance()
    images = Images(instance, settings=settings.registries)
    images.open()
    stack.push_async_callback(images.close)
    volumes = Volumes(instance)
    volumes.open()
    networks = Networks(instance)
    await networks.open()
    stack.push_async_callback(networks.close)
    logs = LogKeeper(LocalSockets(journal=settings.journal, syslog=settings.syslog))
    containers = Containers(instance, images, volumes, logs)
    await containers.open()
    await logs.forwarding.resume(settings.logs)
    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, containers.orphans.look)
    stack.push_async_callback(containers.close)
    builder = Builder(instance, images)
    builder.open()
    return Drivers(
        containers=containers,
        images=images,
        networks=networks,
        volumes=volumes,
        builds=builder,
        logs=logs,
    )


class _only_one:  # noqa: N801 - reads as a sentence where it is used
    """Hold the data directory's lock while the context lasts; exit code 100 if it is held."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.data / "daemon.lock"
        self._run = settings.run
        self._file: TextIO | None = None

    def __enter__(self) -> None:
        for folder in (self._path.parent, self._run):
            folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        file = Path(self._path).open("a+", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise PyorchError(
                f"another pyorchd already runs on `{self._path.parent}` (pid {holder})",
                hint="`pyorch daemon stop` ends it; its containers go on",
                exit_code=100,
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


if __name__ == "__main__":
    main()
