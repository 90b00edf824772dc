"""A daemon on a host in memory."""

import asyncio
from contextlib import asynccontextmanager

from orchestrator.daemon import build, running
from orchestrator.observer import Drivers
from orchestrator.service import ApplyOptions
from orchestrator.settings import Settings
from orchestrator.spec.load import LoadRequest, load_stack
from orchestrator.store import Store
from runtime.testing import FakeHost
from runtime.types import Exited, Running

PATIENCE = 3600.0
"""Virtual seconds: longer than anything a test waits for."""
CHANGES = {
    "containers": {"create", "start", "stop", "kill", "remove", "signal"},
    "images": {"pull", "load", "import_rootfs", "remove"},
    "networks": {"create", "remove", "create_sandbox", "remove_sandbox"},
    "volumes": {"create", "remove"},
}


class World:
    """The host, the store, and whatever daemon runs on them at the moment."""

    def __init__(self, folder):
        self.folder = folder
        self.settings = Settings(name="test", data=folder / "data", run=folder / "run")
        self.store = Store(self.settings.data)
        self.slept = 0.0
        """Seconds the machine was asleep: time passes, and no timer goes on."""
        self.host = FakeHost(clock=self.now)
        self.host.images.add("app")
        self.containers = self.host.containers
        self.drivers = Drivers(
            containers=self.host.containers,
            images=self.host.images,
            networks=self.host.networks,
            volumes=self.host.volumes,
            builds=self.host.builds,
        )
        self.ahead = 0.0
        """Seconds the clock on the wall is ahead of the loop's."""
        self.orchestrator = None
        self.applied = None

    @asynccontextmanager
    async def daemon(self):
        """Run a daemon on this host; at the end it lets go of it and containers go on."""
        self.orchestrator = build(
            self.settings, self.drivers, self.store, now=self.now, wall=self.wall
        )
        try:
            async with running(self.orchestrator):
                yield self.orchestrator
        finally:
            await self.containers.close()

    def wall(self):
        """Tell what the clock on the wall shows."""
        return now() + self.ahead

    async def apply(self, text, **options):
        """Have a stack file of this text wanted from now on."""
        self.applied = self.load(text)
        return await self.orchestrator.apply(self.applied, options=ApplyOptions(**options))

    def load(self, text):
        """Return the stack a file of this text stands for."""
        return load_stack(LoadRequest(files=("-",), stdin=text, cwd=self.folder)).stack

    async def up(self, text, **options):
        """Apply, and return the state once the stack is as wanted."""
        await self.apply(text, **options)
        return await self.settled(self.applied.name)

    async def down(self, stack="shop", *, volumes=False, grace=None):
        """Take a stack down, and return when it is gone."""
        await self.orchestrator.remove(stack, volumes=volumes, grace=grace)
        async with asyncio.timeout(PATIENCE):
            async for entry in self.orchestrator.follow(stack):
                if entry["type"] == "gone":
                    return

    async def settled(self, stack="shop"):
        """Return the state of a stack once it is as wanted."""
        return await self.until(lambda state: state["settled"], stack)

    async def until(self, so, stack="shop"):
        """Return the first state of a stack for which ``so`` holds."""
        async with asyncio.timeout(PATIENCE):
            async for entry in self.orchestrator.follow(stack):
                if entry["type"] == "state" and so(entry):
                    return entry
        raise AssertionError(f"stack `{stack}` went away meanwhile")

    def now(self):
        """Tell seconds since boot, sleep included."""
        return now() + self.slept

    def phases(self):
        """Return every container's phase as one word, by name."""
        return {name: word(self.containers.phase(name)) for name in self.containers.names()}

    def runs(self):
        """Return the number of every container's last run, by name."""
        found = {name: self.containers.phase(name) for name in self.containers.names()}
        return {name: getattr(phase, "run", 0) for name, phase in found.items()}

    def writes(self):
        """Return every call so far that changed something, with the driver it went to."""
        return [
            f"{kind} {method} {subject}"
            for kind, methods in CHANGES.items()
            for method, subject in getattr(self.host, kind).calls
            if method in methods
        ]


def now():
    """Tell the loop's time, which is virtual."""
    return asyncio.get_running_loop().time()


def word(phase):
    """Return a phase as one word."""
    match phase:
        case Running(stop_by=None):
            return "running"
        case Running():
            return "stopping"
        case Exited(code=code):
            return f"exited {code}"
    return "created"
