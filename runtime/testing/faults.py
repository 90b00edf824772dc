"""What a test may do to a fake driver: watch its calls, make them fail, hold them back."""

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class Gate:
    """Holds an operation from the moment it arrives until the test lets it go."""

    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    def open(self) -> None:
        """Let through what waits, and everything after it."""
        self._open.set()

    async def wait_through(self) -> None:
        """Wait until the gate is open; called by the fake."""
        self.arrived.set()
        await self._open.wait()


@dataclass(slots=True)
class Faults:
    """Shared by every fake driver. An operation is named ``(method, subject)``.

    The subject is the id or reference the method is about, and empty where there is none.
    """

    failures: dict[tuple[str, str], Exception] = field(default_factory=dict)
    """What an operation raises, every time, until the entry is removed. Nothing is done then."""
    gates: dict[tuple[str, str], Gate] = field(default_factory=dict)
    """What an operation waits for before it does anything."""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Every call that may change the host, in order of arrival, failed ones too."""

    async def change(self, method: str, subject: str = "") -> None:
        """Note a call that may change the host, then hold or refuse it as the test says."""
        self.calls.append((method, subject))
        await self.look(method, subject)

    async def look(self, method: str, subject: str = "") -> None:
        """Hold or refuse a call as the test says, without noting it."""
        if gate := self.gates.get((method, subject)):
            await gate.wait_through()
        if failure := self.failures.get((method, subject)):
            raise failure
