"""What people and the world do to stacks, and what must be so after a rest. Knows no daemon.

The model is a few sets: which services are wanted how often, which were stopped or removed by
hand, which ended and are not to be restarted. Whatever happens, in whatever order, at rest there
is exactly what the model says.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

STACKS = ("one", "two")
SERVICES = ("a", "b")


class Wanted(NamedTuple):
    """A service as a file has it."""

    scale: int
    tag: str
    """Another one is another container."""
    restart: str
    volume: bool


Files = dict[str, Wanted]
"""The services of a stack file, by name."""


FILES = st.dictionaries(
    st.sampled_from(SERVICES),
    st.builds(
        Wanted,
        scale=st.integers(0, 2),
        tag=st.sampled_from("xy"),
        restart=st.sampled_from(["always", "no"]),
        volume=st.booleans(),
    ),
    min_size=1,
)


class Seen(NamedTuple):
    """What there is: containers with their tags, of which some run, and volumes."""

    there: dict[str, str]
    running: frozenset[str]
    volumes: frozenset[str]


class Deck(Protocol):
    """A pyorch and its host. Whatever is asked for says whether it was accepted."""

    reboots: bool

    def apply(self, stack: str, services: Files) -> bool: ...
    def scale(self, stack: str, service: str, count: int) -> bool: ...
    def ask(self, verb: str, stack: str, service: str = "") -> bool: ...
    def down(self, stack: str, *, volumes: bool) -> None: ...
    def end(self, container: str) -> None: ...
    def fail(self, container: str) -> None: ...
    def damage(self, stack: str) -> None: ...
    def restart_daemon(self) -> None: ...
    def reboot(self) -> None: ...
    def rest(self, wanted: "Model") -> Seen: ...
    def close(self) -> None: ...


@dataclass(slots=True)
class Stack:
    """What was asked of a stack."""

    services: Files
    stopped: bool = False
    wishes: dict[str, str] = field(default_factory=dict)
    """Services that were `stopped` or `removed` by hand."""
    ended: set[str] = field(default_factory=set)
    """Containers that are over, and are not to be restarted."""

    def forget_ended(self, stack: str, service: str = "") -> None:
        """Somebody wants what has ended to run again."""
        begin = f"{stack}.{service}." if service else ""
        self.ended = {one for one in self.ended if not one.startswith(begin)}


@dataclass(slots=True)
class Model:
    """What must be so after a rest."""

    stacks: dict[str, Stack] = field(default_factory=dict)
    volumes: set[str] = field(default_factory=set)
    """Those there were at a rest, and nobody has removed."""

    def slots(self, stack: str, service: str) -> dict[str, str]:
        """Return the containers a service is to have, with their tags."""
        wanted = self.stacks[stack].services[service]
        return {f"{stack}.{service}.{slot}": wanted.tag for slot in range(1, wanted.scale + 1)}

    def running(self) -> dict[str, str]:
        """Return the containers that must run, with their tags."""
        return {
            name: tag
            for stack, asked in self.stacks.items()
            for service in asked.services
            if not asked.stopped and service not in asked.wishes
            for name, tag in self.slots(stack, service).items()
            if name not in asked.ended
        }

    def differences(self, seen: Seen) -> list[str]:
        """Name everything that is not as it must be."""
        running = {name: seen.there[name] for name in seen.running}
        found = []
        if running != self.running():
            found.append(f"{running} run, and {self.running()} should")
        for name in seen.there:
            stack, service, _ = name.split(".")
            asked = self.stacks.get(stack)
            if asked is None:
                found.append(f"{name} is of a stack nobody wants")
            elif asked.wishes.get(service) == "removed":
                found.append(f"{name} was removed")
            elif not asked.stopped and service not in asked.services:
                found.append(f"{name} is of a service nobody wants")
            elif not asked.stopped and not asked.wishes and name not in self.slots(stack, service):
                found.append(f"{name} is one too many")
        if lost := self.volumes - seen.volumes:
            found.append(f"volumes {lost} are gone")
        return found


class Life(RuleBasedStateMachine):
    """Does anything to stacks; now and then everything rests and is looked at."""

    def __init__(self, deck: Deck) -> None:
        super().__init__()
        self.deck = deck
        self.model = Model()
        self.seen = Seen({}, frozenset(), frozenset())

    @initialize(stack=st.sampled_from(STACKS), services=FILES)
    def begin(self, stack: str, services: Files) -> None:
        self.apply(stack, services)

    @rule(stack=st.sampled_from(STACKS), services=FILES)
    def apply(self, stack: str, services: Files) -> None:
        if self.deck.apply(stack, services):
            self.model.stacks[stack] = Stack(services)

    @precondition(lambda self: self.model.stacks)
    @rule(data=st.data(), count=st.integers(0, 3))
    def scale(self, data: st.DataObject, count: int) -> None:
        stack, service = self._any_service(data)
        if self.deck.scale(stack, service, count):
            asked = self.model.stacks[stack]
            if asked.stopped:
                asked.wishes |= dict.fromkeys(asked.services, "stopped")
                asked.stopped = False
            asked.wishes.pop(service, None)
            asked.services = {
                **asked.services,
                service: asked.services[service]._replace(scale=count),
            }
            asked.forget_ended(stack, service)

    @precondition(lambda self: self.model.stacks)
    @rule(data=st.data(), verb=st.sampled_from(["stop", "start", "restart"]))
    def ask_stack(self, data: st.DataObject, verb: str) -> None:
        stack = data.draw(st.sampled_from(sorted(self.model.stacks)))
        if verb == "restart":
            # What it is about is what there is by then.
            self.rest()
        if self.deck.ask(verb, stack):
            asked = self.model.stacks[stack]
            asked.stopped = verb == "stop"
            if verb != "stop":
                asked.wishes.clear()
                asked.forget_ended(stack)

    @precondition(lambda self: self.model.stacks)
    @rule(data=st.data(), verb=st.sampled_from(["stop", "start", "rm"]))
    def ask_service(self, data: st.DataObject, verb: str) -> None:
        stack, service = self._any_service(data)
        self.rest()
        there = any(name.startswith(f"{stack}.{service}.") for name in self.seen.there)
        if self.deck.ask(verb, stack, service):
            asked = self.model.stacks[stack]
            match verb:
                case "stop":
                    asked.wishes[service] = "stopped"
                case "rm" if there:
                    asked.wishes[service] = "removed"
                case "start":
                    if asked.stopped:
                        asked.wishes |= dict.fromkeys(asked.services, "stopped")
                        asked.stopped = False
                    asked.wishes.pop(service, None)
                    asked.forget_ended(stack, service)

    @precondition(lambda self: self.model.stacks)
    @rule(data=st.data(), volumes=st.booleans())
    def down(self, data: st.DataObject, volumes: bool) -> None:
        stack = data.draw(st.sampled_from(sorted(self.model.stacks)))
        self.deck.down(stack, volumes=volumes)
        del self.model.stacks[stack]
        if volumes:
            self.model.volumes = {
                one for one in self.model.volumes if not one.startswith(f"{stack}_")
            }

    @precondition(lambda self: self.model.running())
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        self.rest()
        name = data.draw(st.sampled_from(sorted(self.model.running())))
        stack, service, _ = name.split(".")
        self.deck.end(name)
        if self.model.stacks[stack].services[service].restart == "no":
            self.model.stacks[stack].ended.add(name)

    @precondition(lambda self: self.model.stacks)
    @rule(data=st.data(), fault=st.sampled_from(["call", "links", "daemon", "machine"]))
    def break_something(self, data: st.DataObject, fault: str) -> None:
        stack, service = self._any_service(data)
        match fault:
            case "call":
                self.deck.fail(f"{stack}.{service}.{data.draw(st.integers(1, 2))}")
            case "links":
                self.deck.damage(stack)
            case "machine" if self.deck.reboots:
                self._reboot()
            case _:
                self.deck.restart_daemon()

    def _reboot(self) -> None:
        self.rest()
        self.deck.reboot()
        for name in self.model.running():
            stack, service, _ = name.split(".")
            if self.model.stacks[stack].services[service].restart == "no":
                self.model.stacks[stack].ended.add(name)

    @rule()
    def look(self) -> None:
        self.rest()

    def rest(self) -> None:
        self.seen = self.deck.rest(self.model)
        self.model.volumes |= self.seen.volumes

    def teardown(self) -> None:
        try:
            self.rest()
        finally:
            self.deck.close()

    def _any_service(self, data: st.DataObject) -> tuple[str, str]:
        stack = data.draw(st.sampled_from(sorted(self.model.stacks)))
        return stack, data.draw(st.sampled_from(sorted(self.model.stacks[stack].services)))
