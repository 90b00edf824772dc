"""Children nobody waits for are collected; those somebody waits for are not."""

import asyncio
import os

from runtime.orphans import Orphans
from runtime.process import awaited, run


async def test_a_program_somebody_waits_for_is_no_orphan_however_late_that_is():
    orphans = Orphans(lambda: ())
    before = awaited()
    running = asyncio.ensure_future(run(["true"]))
    while not awaited() - before:  # noqa: ASYNC110 - a thread starts it, and tells nobody
        await asyncio.sleep(0)
    (pid,) = awaited() - before

    # The loop is busy: the program has ended and been seen twice before anybody hears of it.
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    orphans._collect()
    orphans._collect()

    assert (await running).returncode == 0
    assert pid not in awaited()
