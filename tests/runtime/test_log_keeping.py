"""Logs are kept within their bounds, and a disk that fails holds nobody up."""

import asyncio
import subprocess

import pytest

from runtime.logs import LogKeeper
from runtime.logs.keeping import KeptLog
from runtime.types import LogConfig


@pytest.fixture
def overfull(tmp_path):
    """A log with more files than it may have, on a disk that takes no change any more."""
    folder = tmp_path / "log"
    folder.mkdir()
    for number in range(1, 6):
        (folder / f"1.{number}.log").write_bytes(b"x" * 100)
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.root
async def test_a_log_on_a_disk_that_fails_holds_nobody_up(overfull, tmp_path):
    keeper = LogKeeper()
    log = KeptLog(
        folder=overfull,
        run=1,
        config=LogConfig(max_size=100, max_files=2),
        control=tmp_path / "ctl",
        monitor=None,
        notes=tmp_path / "log.json",
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(keeper.run())
        keeper.begin("shop.web.1", log)

        await keeper.end("shop.web.1")

        assert not running.done()
        running.cancel()
    assert len(list(overfull.iterdir())) == 5
