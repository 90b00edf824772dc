"""An event loop whose time passes only when nothing else is left to do."""

import asyncio
import selectors


class VirtualLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer instead of waiting for it.

    Where there is no timer either, nothing can ever happen again: that is told at once.
    """

    def __init__(self):
        self.virtual = 1000.0
        super().__init__(_Impatient(self))

    def time(self):
        return self.virtual


class _Impatient(selectors.DefaultSelector):
    def __init__(self, loop):
        super().__init__()
        self._loop = loop

    def select(self, timeout=None):
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("everybody waits and nothing is left that could happen")
        self._loop.virtual += timeout
        return ready


def run_virtual(main):
    """Run a coroutine in virtual time, for tests that cannot be coroutines themselves."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


async def let_others_run():
    """Return when everything that can go on without time passing has gone on."""
    await asyncio.sleep(1e-6)
