"""The disk is full, the database is gone, a volume is no folder any more: nothing is lost of it."""

import errno
import os
import random
import shutil
import signal
import sqlite3
import subprocess

import pytest

from orchestrator.errors import PyorchError
from orchestrator.store import Store
from tests.faults.acts import (
    SHOP,
    bring_up,
    kill_daemon,
    main_processes,
    settle,
)
from tests.instance import Pyorch
from tests.invariants import check_invariants, ticks
from tests.lab import eventually

ROOM = 48 * 2**20
PAGES = 200
"""How many databases are broken, each in another place."""
OTHER = """
name: other
services: {one: {image: busybox, command: sleep 1000, stop_grace_period: 0s}}
"""
CRASHING = """
name: shop
services:
  web:
    image: busybox
    command: sleep 1000
    restart: always
    stop_grace_period: 0s
    logging: {driver: none}
"""


@pytest.fixture
def cramped(tmp_path, busybox):
    """A pyorch whose data are on a small filesystem."""
    home = tmp_path / "p"
    data = home / "data"
    data.mkdir(parents=True)
    place = str(data)
    size = f"size={ROOM},mode=711"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", place], check=True)
    pyorch = Pyorch(name=f"t{os.urandom(3).hex()}", home=home)
    try:
        pyorch.run("image", "import", str(busybox), "busybox")
        yield pyorch
        left = pyorch.clean()
    finally:
        subprocess.run(["umount", "-l", place], check=True)
    assert left == []


def written(file):
    """Write some more; return whether there was room for it."""
    try:
        return file.write(bytes(2**16)) == 2**16
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False


def fill(path):
    """Take all the room there is."""
    with path.open("wb", buffering=0) as file:
        while written(file):
            continue
    return path


@pytest.mark.root
def test_f16_on_a_full_disk_what_runs_goes_on_and_what_is_new_is_refused(cramped):
    bring_up(cramped, CRASHING)
    filler = fill(cramped.settings.data / "filler")
    main = cramped.main_process("shop/web.1")

    cramped.write(OTHER, "other.yml")
    refused = cramped.try_("-f", "other.yml", "up", "-d", "--wait")
    os.kill(main, signal.SIGKILL)
    eventually(lambda: cramped.processes("shop/web.1"), lambda pids: pids and main not in pids)

    assert refused.code == 1
    assert "cannot be written" in refused.err or "space" in refused.err, refused.err
    filler.unlink()
    cramped.run("-f", "other.yml", "up", "-d", "--wait")
    settle(cramped)
    check_invariants(cramped)


@pytest.mark.root
@pytest.mark.parametrize("how", ["removed", "emptied", "overwritten"])
def test_f19_without_its_database_what_runs_goes_on_and_is_taken_up_again(pyorch, how):
    bring_up(pyorch)
    before = main_processes(pyorch)
    kill_daemon(pyorch)
    counted = len(ticks(pyorch, "shop"))
    data = pyorch.settings.data
    for name in ("state.db-wal", "state.db-shm"):
        (data / name).unlink(missing_ok=True)
    if how == "emptied":
        os.truncate(data / "state.db", 100)
    elif how == "overwritten":
        (data / "state.db").write_bytes(random.Random(1).randbytes(50_000))
    if how != "removed":
        refused = pyorch.try_("ls")
        assert refused.code != 0
        assert "cannot open the state database" in refused.err
        assert "move it aside" in refused.err
    shutil.move(data / "state.db", data / "state.db.broken")

    pyorch.run("ls")
    assert main_processes(pyorch) == before, "nobody is ended because nobody knows whose it is"
    pyorch.run("up", "-d", "--wait")

    assert main_processes(pyorch) == before
    assert len(ticks(pyorch, "shop")) >= counted
    check_invariants(pyorch)


def opened(folder):
    """Read a database; return how it was refused, if it was."""
    try:
        store = Store(folder)
    except PyorchError as error:
        return str(error)
    assert len(store.stacks.all()) <= 20
    store.close()
    return ""


def test_f19_a_database_broken_anywhere_is_refused_or_read_and_nothing_else(tmp_path):
    store = Store(tmp_path)
    for number in range(20):
        model = {"name": f"stack{number}", "services": {"a" * number: {}}}
        store.stacks.save_generation(f"stack{number}", model, {}, owner_uid=0)
        store.events.record(f"stack{number}", "replica.started", "a.1", "x" * 200, 0.0)
    store.close()
    whole = (tmp_path / "state.db").read_bytes()
    refused = 0
    for seed in range(PAGES):
        chance = random.Random(seed)
        place = chance.randrange(0, len(whole) - 2048)
        folder = tmp_path / str(seed)
        folder.mkdir()
        broken = whole[:place] + chance.randbytes(2048) + whole[place + 2048 :]
        (folder / "state.db").write_bytes(broken)
        told = opened(folder)
        if told:
            refused += 1
            assert "cannot open the state database" in told or "newer pyorch" in told
            assert (folder / "state.db").read_bytes() == broken, "nobody repairs what is broken"

    assert refused > PAGES / 2


@pytest.mark.root
def test_f36_a_volume_that_has_become_a_link_leads_nowhere(pyorch, tmp_path):
    bring_up(pyorch)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "precious").write_text("kept")
    pyorch.run("stop")
    content = pyorch.settings.data / "volumes" / "shop_ticks" / "_data"
    content.rename(content.with_name("moved"))
    content.symlink_to(foreign)

    done = pyorch.try_("up", "-d", "--wait")

    assert done.code == 1
    assert "has become a link" in done.err
    assert [path.name for path in foreign.iterdir()] == ["precious"]
    content.unlink()
    content.with_name("moved").rename(content)
    pyorch.run("up", "-d", "--wait")
    check_invariants(pyorch)
    folder = content.parent
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(foreign)
    pyorch.try_("down", "-v", "-t", "0")
    assert [path.name for path in foreign.iterdir()] == ["precious"]
    folder.unlink()
    (tmp_path / "elsewhere").rename(folder)
    pyorch.run("volume", "rm", "-f", "shop_ticks")


@pytest.mark.root
def test_f36_a_volume_in_use_is_not_removed(pyorch):
    bring_up(pyorch)

    refused = pyorch.try_("volume", "rm", "shop_ticks")

    assert refused.code == 1
    assert "shop" in refused.err
    check_invariants(pyorch)


@pytest.mark.root
def test_f38_a_file_that_is_broken_or_none_changes_nothing(pyorch):
    bring_up(pyorch)
    before = main_processes(pyorch)
    path = pyorch.work / "stack.yml"

    path.write_text(SHOP[: len(SHOP) // 2] + "\n   {")
    assert pyorch.try_("up", "-d").code == 1
    path.unlink()
    assert pyorch.try_("up", "-d").code == 1
    os.mkfifo(path)
    assert pyorch.try_("up", "-d").code == 1
    path.unlink()
    with path.open("wb") as file:
        file.truncate(10 * 2**30)
    assert pyorch.try_("up", "-d").code == 1
    path.unlink()

    assert main_processes(pyorch) == before
    assert pyorch.stacks() == ["shop"]
    check_invariants(pyorch)
    with sqlite3.connect(f"file:{pyorch.settings.data}/state.db?mode=ro", uri=True) as db:
        assert db.execute("SELECT count(*) FROM generations").fetchone() == (1,)
    db.close()
