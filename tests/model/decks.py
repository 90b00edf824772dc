"""The two pyorchs life is played with: one on a host in memory, and a real one."""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Awaitable
from pathlib import Path

from orchestrator.errors import PyorchError
from runtime.errors import UnavailableError
from runtime.types import ContainerId, NetworkId, Running
from tests.instance import Pyorch
from tests.lab import eventually
from tests.model.life import Files, Model, Seen
from tests.orchestrator.virtual import VirtualLoop
from tests.orchestrator.world import World

HOUR = 3600
SWEEPS = 40.0
"""Virtual seconds in which the daemon looks at everything twice."""


def text_of(stack: str, services: Files, image: str) -> str:
    """Return a stack file."""
    lines = [f"name: {stack}", "services:"]
    for name, one in services.items():
        volume = "volumes: ['data:/data'], " if one.volume else ""
        lines.append(
            f"  {name}: {{{image}, scale: {one.scale}, restart: '{one.restart}', {volume}"
            f"labels: {{tag: {one.tag}}}, stop_grace_period: 0s,"
            " x-pyorch: {backoff: {delay: 10ms, max_delay: 50ms}}}"
        )
    if any(one.volume for one in services.values()):
        lines.append("volumes: {data: }")
    return "\n".join(lines) + "\n"


class FakeDeck:
    """The real daemon on drivers in memory, in virtual time."""

    reboots = True

    def __init__(self) -> None:
        shm = Path("/dev/shm")
        self._folder = tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None)
        self._runner = asyncio.Runner(loop_factory=VirtualLoop)
        self._run(self._open())

    async def _open(self) -> None:
        self._world = World(Path(self._folder.name))
        await self._start()

    async def _start(self) -> None:
        self._over, ready = asyncio.Event(), asyncio.Event()

        async def live() -> None:
            async with self._world.daemon():
                ready.set()
                await self._over.wait()

        self._daemon = asyncio.create_task(live())
        await ready.wait()

    async def _end(self) -> None:
        self._over.set()
        await self._daemon

    def _run(self, work: Awaitable[None]) -> bool:
        async def done() -> None:
            await work

        with contextlib.suppress(PyorchError):
            self._runner.run(done())
            return True
        return False

    def apply(self, stack: str, services: Files) -> bool:
        return self._run(self._world.apply(text_of(stack, services, "image: app")))

    def scale(self, stack: str, service: str, count: int) -> bool:
        return self._run(self._world.orchestrator.scale(stack, {service: count}, owner_uid=0))

    def ask(self, verb: str, stack: str, service: str = "") -> bool:
        orchestrator = self._world.orchestrator
        intents, services = orchestrator.intents, [service] if service else []
        match verb:
            case "stop" if service:
                return self._run(intents.stop(stack, services, grace=None))
            case "stop":
                return self._run(orchestrator.stop(stack))
            case "start" if service:
                return self._run(intents.start(stack, services))
            case "start":
                return self._run(orchestrator.start(stack))
            case "restart":
                return self._run(intents.restart(stack, services, grace=None, dependents=True))
        return self._run(intents.remove(stack, services, stop=True))

    def down(self, stack: str, *, volumes: bool) -> None:
        self._world.containers.failures.clear()
        assert self._run(self._world.down(stack, volumes=volumes))

    def end(self, container: str) -> None:
        async def end() -> None:
            self._world.containers.end(ContainerId(container), 1)

        self._run(end())

    def fail(self, container: str) -> None:
        for verb in ("create", "start", "remove"):
            self._world.containers.failures[verb, container] = UnavailableError(
                verb, container, "not now"
            )

    def damage(self, stack: str) -> None:
        networks = self._world.host.networks

        async def damage() -> None:
            network = NetworkId(f"{stack}_default")
            if any(one.config.id == network for one in await networks.list()):
                networks.lose_bridge(network)
            for one in await networks.list_sandboxes():
                if one.config.id.startswith(f"{stack}."):
                    networks.lose_link(one.config.id)

        self._run(damage())

    def restart_daemon(self) -> None:
        async def again() -> None:
            await self._end()
            await self._start()

        self._run(again())

    def reboot(self) -> None:
        async def again() -> None:
            await self._end()
            self._world.containers.reboot()
            self._world.host.networks.lose_everything()
            await self._start()

        self._run(again())

    def rest(self, wanted: Model) -> Seen:
        self._world.containers.failures.clear()
        found: list[Seen] = []

        async def rest() -> None:
            for _ in range(HOUR):
                await asyncio.sleep(1.0)
                seen = await self._look()
                if not wanted.differences(seen):
                    break
            await asyncio.sleep(SWEEPS)
            before = len(self._world.writes())
            await asyncio.sleep(SWEEPS)
            found.append(await self._look())
            # Nothing is done where nothing is to be done.
            assert self._world.writes()[before:] == []
            await self._check_networks(wanted)

        self._run(rest())
        assert wanted.differences(found[0]) == []
        return found[0]

    async def _look(self) -> Seen:
        facts = await self._world.containers.list()
        return Seen(
            there={one.id: one.labels["tag"] for one in facts},
            running=frozenset(one.id for one in facts if isinstance(one.phase, Running)),
            volumes=frozenset(one.id for one in await self._world.host.volumes.list()),
        )

    async def _check_networks(self, wanted: Model) -> None:
        """Whoever runs has links and addresses of its own, and names lead nowhere else."""
        networks = self._world.host.networks
        seen = await self._look()
        places = {one.config.id: one for one in await networks.list_sandboxes()}
        # One whose container could not be made waits for that, with its stack.
        slots = {
            name
            for stack, asked in wanted.stacks.items()
            for service in asked.services
            for name in wanted.slots(stack, service)
        }
        assert seen.running <= set(places) <= set(seen.there) | slots
        assert all(one.intact for one in places.values())
        held = [
            (place.network, address)
            for one in places.values()
            for place in one.config.attachments
            for address in place.addresses
        ]
        assert len(held) == len(set(held)), "an address is held twice"
        leased = {(one.network, one.address) for one in self._world.store.leases.addresses()}
        assert set(held) <= leased
        alive = {
            address
            for name in seen.running
            for place in places[ContainerId(name)].config.attachments
            for address in place.addresses
        }
        entries = networks.exposure.names if networks.exposure else ()
        named = {one for entry in entries for one in entry.addresses}
        assert named == alive, "names lead to all that runs, and to nothing else"

    def close(self) -> None:
        self._run(self._end())
        self._world.store.close()
        self._runner.close()
        self._folder.cleanup()


class RealDeck:
    """A pyorch with containers of this machine; a test's own, which is left empty."""

    reboots = False

    def __init__(self, pyorch: Pyorch) -> None:
        self._pyorch = pyorch

    def apply(self, stack: str, services: Files) -> bool:
        self._pyorch.write(text_of(stack, services, "image: busybox, command: sleep 1000"))
        # It follows what it began; whatever becomes of that is looked at in the rest.
        self._pyorch.try_("up", "-d")
        return True

    def scale(self, stack: str, service: str, count: int) -> bool:
        self._pyorch.try_("-p", stack, "scale", f"{service}={count}")
        return True

    def ask(self, verb: str, stack: str, service: str = "") -> bool:
        words = ("rm", "-s", "-f") if verb == "rm" else (verb,)
        done = self._pyorch.try_("-p", stack, *words, *((service,) if service else ()))
        return "has no containers" not in done.err

    def down(self, stack: str, *, volumes: bool) -> None:
        self._pyorch.run("-p", stack, "down", *(("-v",) if volumes else ()))

    def end(self, container: str) -> None:
        stack, _, replica = container.partition(".")
        os.kill(self._pyorch.main_process(f"{stack}/{replica}"), signal.SIGKILL)

    def fail(self, container: str) -> None:
        """Have a container's end come at any moment: whoever runs under that name is killed."""
        stack, _, replica = container.partition(".")
        del stack, replica

    def damage(self, stack: str) -> None:
        instance = self._pyorch.settings.instance()
        os.system(f"nft flush table inet {instance.table} 2>/dev/null")
        del stack

    def restart_daemon(self) -> None:
        if self._pyorch.client.is_up():
            pid = self._pyorch.daemon_pid()
            os.kill(pid, signal.SIGKILL)
            eventually(self._pyorch.client.is_up, lambda up: not up)
        self._pyorch.run("ls")

    def reboot(self) -> None:
        raise NotImplementedError("this machine is others', too")

    def rest(self, wanted: Model) -> Seen:
        def look() -> Seen:
            stacks = self._pyorch.client.get("/v1/stacks")
            replicas = {f"{one['name']}.{r['id']}": r for one in stacks for r in one["replicas"]}
            folder = self._pyorch.settings.data / "containers"
            tags = {}
            for name in replicas:
                with contextlib.suppress(FileNotFoundError):
                    tags[name] = self._tag(folder / name / "record.json")
            return Seen(
                there=tags,
                running=frozenset(n for n, r in replicas.items() if r["phase"] == "running"),
                volumes=frozenset(self._pyorch.run("volume", "ls", "-q").split()),
            )

        eventually(lambda: wanted.differences(look()), lambda found: not found)
        return look()

    def _tag(self, record: Path) -> str:
        import json

        return str(json.loads(record.read_text())["config"]["labels"]["tag"])

    def close(self) -> None:
        for stack in self._pyorch.stacks():
            self._pyorch.run("-p", stack, "down", "-v")
