"""Intent and history outlive the daemon; secrets never enter the database."""

import os
import resource
import sqlite3
from contextlib import contextmanager
from ipaddress import IPv4Address

import pytest

from orchestrator.errors import PyorchError, UnwritableError
from orchestrator.store import (
    KEPT_ENDINGS,
    KEPT_EVENTS,
    KEPT_GENERATIONS,
    SCHEMA,
    Ending,
    ReplicaHistory,
    Store,
)
from scheduler.desired import Intent
from scheduler.ids import NetworkName, ReplicaId, ServiceName, StackName
from scheduler.observed import AddressLease, PortLease

SHOP = StackName("shop")
WEB = ReplicaId(ServiceName("web"), 1)
NET = NetworkName("shop_default")
MODEL = {"name": "shop", "services": {"web": {"image": "app"}}}
WORD = "hunter2-the-only-copy"
SECRET = MODEL | {"secrets": {"word": {"payload": WORD}, "none": {"name": "x"}}}


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "data")
    yield store
    store.close()


def reopened(store, tmp_path):
    store.close()
    return Store(tmp_path / "data")


@contextmanager
def full_disk():
    """Let this process write to no file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_f16_what_a_full_disk_does_not_take_is_refused_and_what_comes_later_is_kept(
    store, tmp_path
):
    store.stacks.save_generation("shop", MODEL, {}, owner_uid=7)
    with full_disk():
        for change in (
            lambda: store.stacks.set_intent("shop", Intent.STOP),
            lambda: store.stacks.save_generation("shop", SECRET, {}, owner_uid=7),
            lambda: store.events.record("shop", "x", "y", "z", 1.0),
            lambda: store.replicas.record_start("shop", WEB, attempt=0),
        ):
            with pytest.raises(UnwritableError, match="the state database cannot be written"):
                change()
    assert store.stacks.find("shop").intent is Intent.RUN

    store.stacks.set_intent("shop", Intent.STOP)
    store.replicas.record_start("shop", WEB, attempt=0)

    store = reopened(store, tmp_path)
    assert store.stacks.find("shop").intent is Intent.STOP
    assert set(store.replicas.histories("shop")) == {WEB}


# ── intent ───────────────────────────────────────────────────────────────────────────────


def test_generations_count_up_and_the_last_one_holds(store, tmp_path):
    first = store.stacks.save_generation("shop", MODEL, {}, owner_uid=7)
    second = store.stacks.save_generation(
        "shop", {**MODEL, "recreate": 1}, {"app": "sha256:1"}, owner_uid=8
    )
    store = reopened(store, tmp_path)

    assert (first, second) == (1, 2)
    stack = store.stacks.find("shop")
    assert (stack.generation, stack.intent, stack.owner_uid) == (2, Intent.RUN, 7)
    assert store.stacks.generation("shop", 1) == (MODEL, {})
    assert store.stacks.generation("shop", 2) == ({**MODEL, "recreate": 1}, {"app": "sha256:1"})
    store.close()


def test_a_generation_that_never_was_is_told(store):
    store.stacks.save_generation("shop", MODEL, {}, owner_uid=0)

    with pytest.raises(KeyError):
        store.stacks.generation("shop", 2)


def test_generations_are_listed_with_where_they_came_from(store):
    store.stacks.save_generation("shop", MODEL, {"app": "sha256:1"}, owner_uid=7)
    store.stacks.save_generation("shop", MODEL, {}, owner_uid=8, origin="rollback to 1")
    store.stacks.save_generation("other", MODEL, {}, owner_uid=0)

    second, first = store.stacks.generations("shop")
    assert (first.number, first.accepted_uid, first.origin) == (1, 7, "")
    assert (second.number, second.accepted_uid, second.origin) == (2, 8, "rollback to 1")
    assert first.images == {"app": "sha256:1"}


def test_old_generations_go_with_their_images_and_secrets(store, tmp_path):
    for number in range(KEPT_GENERATIONS + 2):
        store.stacks.save_generation("shop", SECRET, {"app": f"sha256:{number}"}, owner_uid=0)

    kept = [one.number for one in store.stacks.generations("shop")]
    assert kept == list(range(KEPT_GENERATIONS + 2, 2, -1))
    assert "sha256:0" not in store.stacks.pinned()
    folders = {path.name for path in (tmp_path / "data" / "secrets" / "shop").iterdir()}
    assert folders == set(map(str, kept))
    assert store.stacks.generation("shop", 3)[0] == SECRET


def test_images_are_pinned_to_one_generation(store):
    store.stacks.save_generation("shop", MODEL, {}, owner_uid=0)
    store.stacks.save_generation("shop", MODEL, {}, owner_uid=0)

    store.stacks.pin_images("shop", 2, {"app": "sha256:2"})

    assert store.stacks.generation("shop", 1)[1] == {}
    assert store.stacks.generation("shop", 2)[1] == {"app": "sha256:2"}


def test_what_is_wanted_changes_until_the_next_file(store):
    store.stacks.save_generation("shop", MODEL, {}, owner_uid=0)
    store.stacks.set_intent("shop", Intent.REMOVE, remove_volumes=True, stop_grace=0.5)
    leaving = store.stacks.find("shop")
    store.stacks.save_generation("shop", MODEL, {}, owner_uid=0)
    back = store.stacks.find("shop")

    assert (leaving.intent, leaving.remove_volumes, leaving.stop_grace) == (
        Intent.REMOVE,
        True,
        0.5,
    )
    assert (back.intent, back.remove_volumes, back.stop_grace) == (Intent.RUN, False, None)


def test_a_forgotten_stack_leaves_nothing_and_others_stay(store):
    for name in ("shop", "blog"):
        store.stacks.save_generation(name, {**SECRET, "name": name}, {}, owner_uid=0)
        store.leases.lease_addresses(
            name, WEB, ((NET, IPv4Address(f"10.0.0.{len(name)}{name == 'shop':d}")),)
        )
        store.replicas.record_start(name, WEB, attempt=0)
        store.events.record(name, "replica.started", "web.1", "test", 0.0)

    store.stacks.forget("shop")

    assert [stack.name for stack in store.stacks.all()] == ["blog"]
    assert {lease.stack for lease in store.leases.addresses()} == {"blog"}
    assert store.replicas.histories("shop") == {}
    assert [path.name for path in secrets_of(store).iterdir()] == ["blog"]
    assert store.stacks.generation("blog", 1)[0]["secrets"]["word"]["payload"] == WORD


# ── leases and history ───────────────────────────────────────────────────────────────────


def test_the_last_ends_of_a_slot_are_kept_and_each_is_news_once(store):
    store.stacks.save_generation("shop", MODEL, {}, owner_uid=0)
    ends = [
        Ending(
            replica=WEB,
            created_wall=1.5,
            run=run,
            code=run % 3,
            oom=False,
            lived=0.5,
            stopped=False,
            at_wall=float(run),
        )
        for run in range(30)
    ]

    assert all(store.replicas.record_ending("shop", one) for one in ends)
    assert not store.replicas.record_ending("shop", ends[-1])
    assert store.replicas.endings("shop") == tuple(reversed(ends[-KEPT_ENDINGS:]))


def test_requests_made_while_others_are_settled_are_not_lost(store):
    store.stacks.save_generation("shop", MODEL, {}, owner_uid=0)
    store.replicas.request("shop", ["web"])
    number, services = store.replicas.requests("shop")
    store.replicas.request("shop", ["web"])
    store.replicas.settle_requests("shop", number, [WEB])

    assert services == {"web"}
    assert store.replicas.histories("shop")[WEB].asked
    assert store.replicas.requests("shop")[1] == {"web"}
    store.replicas.record_start("shop", WEB, attempt=0)
    assert not store.replicas.histories("shop")[WEB].asked


def test_a_replica_holds_exactly_the_addresses_leased_last(store, tmp_path):
    store.stacks.save_generation("shop", MODEL, {}, owner_uid=0)
    one, two = IPv4Address("10.0.0.2"), IPv4Address("10.0.0.3")
    store.leases.lease_addresses("shop", WEB, ((NET, one), (NetworkName("other"), one)))
    store.leases.lease_addresses("shop", WEB, ((NET, two),))
    store = reopened(store, tmp_path)

    assert store.leases.addresses() == (
        AddressLease(stack=SHOP, replica=WEB, network=NET, address=two),
    )
    store.close()


def test_an_emptied_slot_keeps_its_address_only_where_it_is_filled_again(store):
    store.stacks.save_generation("shop", MODEL, {}, owner_uid=0)
    store.leases.lease_addresses("shop", WEB, ((NET, IPv4Address("10.0.0.2")),))
    store.replicas.record_start("shop", WEB, attempt=0)

    store.forget_replica("shop", WEB, keep_address=True)
    kept = len(store.leases.addresses()), store.replicas.histories("shop")
    store.forget_replica("shop", WEB, keep_address=False)

    assert kept == (1, {WEB: ReplicaHistory()})
    assert (store.leases.addresses(), store.replicas.histories("shop")) == ((), {})


def test_a_port_is_held_until_it_is_released(store):
    store.stacks.save_generation("shop", MODEL, {}, owner_uid=0)
    lease = PortLease(
        stack=SHOP, service="web", host_ip="0.0.0.0", host_port=8080, protocol="tcp", target=80
    )
    store.leases.lease_port(lease)
    store.leases.lease_port(lease)
    held = store.leases.ports()

    store.leases.release_port(lease)

    assert (held, store.leases.ports()) == ((lease,), ())


def test_restarts_in_a_row_and_in_all_are_counted_apart(store):
    store.stacks.save_generation("shop", MODEL, {}, owner_uid=0)
    for attempt in (0, 1, 2, 1):
        store.replicas.record_start("shop", WEB, attempt=attempt)

    assert store.replicas.histories("shop") == {WEB: ReplicaHistory(attempts=1, restarts=3)}


def test_the_oldest_events_go_when_there_are_too_many(store):
    with store.db.transaction() as db:
        db.executemany(
            "INSERT INTO events (stack, name, subject, reason, at_wall)"
            " VALUES ('shop', 'old', '', '', ?)",
            [(number,) for number in range(KEPT_EVENTS + 100)],
        )
    for _ in range(256):
        store.events.record("shop", "new", "", "", 0.0)

    count = store.db.read("SELECT COUNT(*) FROM events").fetchone()[0]
    fresh = store.db.read("SELECT COUNT(*) FROM events WHERE name = 'new'").fetchone()[0]
    assert fresh == 256
    assert KEPT_EVENTS <= count < KEPT_EVENTS + 256


# ── secrets ──────────────────────────────────────────────────────────────────────────────


def secrets_of(store):
    return store.db.path.parent / "secrets"


def test_secrets_come_back_with_their_generation(store, tmp_path):
    store.stacks.save_generation("shop", SECRET, {}, owner_uid=0)
    store.stacks.save_generation(
        "shop", {**SECRET, "secrets": {"word": {"payload": "2"}}}, {}, owner_uid=0
    )
    store = reopened(store, tmp_path)

    assert store.stacks.generation("shop", 1)[0] == SECRET
    assert store.stacks.generation("shop", 2)[0]["secrets"]["word"]["payload"] == "2"
    store.close()


@pytest.mark.parametrize("closed", [False, True])
def test_no_byte_of_a_secret_is_in_the_database_or_readable_by_others(store, tmp_path, closed):
    before = os.umask(0)
    try:
        store.stacks.save_generation("shop", SECRET, {}, owner_uid=0)
    finally:
        os.umask(before)
    if closed:
        store.close()

    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    holding = [path for path in files if WORD.encode() in path.read_bytes()]
    assert any(path.name == "state.db" for path in files)
    assert {path.relative_to(tmp_path / "data").parts[0] for path in holding} == {"secrets"}
    assert {path.stat().st_mode & 0o777 for path in holding} == {0o600}
    assert secrets_of(store).stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "data" / "state.db").stat().st_mode & 0o777 == 0o600


def test_the_file_given_is_not_touched(store):
    given = {**SECRET, "secrets": {"word": {"payload": WORD}}}

    store.stacks.save_generation("shop", given, {}, owner_uid=0)

    assert given["secrets"]["word"] == {"payload": WORD}


# ── the file itself ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", range(len(SCHEMA)))
def test_f9_a_database_of_any_older_schema_becomes_todays(tmp_path, store, version):
    old = tmp_path / "old"
    old.mkdir()
    with sqlite3.connect(old / "state.db") as database:
        for number in range(version):
            database.executescript(SCHEMA[number])
        database.execute(f"PRAGMA user_version = {version}")
    database.close()

    migrated = Store(old)

    tables = "SELECT name, sql FROM sqlite_master ORDER BY name"
    assert migrated.db.read(tables).fetchall() == store.db.read(tables).fetchall()
    assert migrated.stacks.save_generation("shop", SECRET, {}, owner_uid=0) == 1
    migrated.close()


def test_f9_f46_a_database_of_a_newer_pyorch_is_refused_and_left_alone(tmp_path):
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / "state.db") as database:
        database.execute(f"PRAGMA user_version = {len(SCHEMA) + 1}")
    database.close()
    before = (tmp_path / "state.db").read_bytes()

    with pytest.raises(PyorchError, match="newer pyorch") as caught:
        Store(tmp_path)

    assert "install the newer one" in caught.value.hint
    assert (tmp_path / "state.db").read_bytes() == before


def broken_header(data):
    return b"not a database at all" * 500


def broken_pages(data):
    return data[:4096] + b"\xff" * (len(data) - 4096)


def cut_short(data):
    return data[: len(data) // 2]


@pytest.mark.parametrize("damage", [broken_header, broken_pages, cut_short])
def test_f19_a_broken_database_is_one_sentence_and_a_hint(tmp_path, damage):
    store = Store(tmp_path)
    for number in range(50):
        store.stacks.save_generation(
            f"shop{number}", {**MODEL, "padding": "x" * 4096}, {}, owner_uid=0
        )
    store.close()
    path = tmp_path / "state.db"
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(PyorchError, match=r"cannot open the state database") as caught:
        Store(tmp_path)

    assert "\n" not in str(caught.value)
    assert "move it aside" in caught.value.hint
