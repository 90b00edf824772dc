"""Lines are sent on out of the files they are in: all of them, in order, whatever happens."""

import asyncio
import json
import random
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from runtime.logs import LocalSockets, Loss, Waiting, turning
from runtime.logs.changes import Changes
from runtime.logs.folder import list_segments, numbered
from runtime.logs.forwarder import FULL, REMOVED
from runtime.logs.forwarding import Forwarding
from runtime.logs.losses import read_losses
from runtime.logs.packed import pack_block
from runtime.logs.progress import FOLDER, is_begun, load_progress
from runtime.types import LogConfig, LogDriver, SyslogConfig
from tests.log_servers import PATIENCE, Datagrams, Journal, Streams, make_certificates
from tests.runtime.logs import written


class Log:
    """The log of one replica, written as a monitor would."""

    def __init__(self, folder: Path, run: int = 1):
        """Begin a run."""
        self.folder, self.run, self.number = folder, run, 1
        folder.mkdir(parents=True, exist_ok=True)
        self.path.touch()

    @property
    def path(self):
        """What is written to now."""
        return numbered(self.folder, self.run, self.number)

    def write(self, *texts, kind="F", stream="stdout"):
        """Write lines."""
        with self.path.open("ab") as file:
            for text in texts:
                file.write(written(1, text.encode(), kind, stream))

    def turn(self):
        """Go on in another file."""
        self.number += 1
        self.path.touch()

    def pack(self, number):
        """Compress a file."""
        path = numbered(self.folder, self.run, number)
        path.with_name(path.name + ".gz").write_bytes(pack_block(path.read_bytes()))
        path.unlink()


def to_syslog(server, network, **more):
    """Return a configuration that sends to ``server``."""
    where = {"path": str(server.path)} if server.path else {"host": "127.0.0.1"}
    if server.port:
        where["port"] = server.port
    syslog = SyslogConfig(network=network, format="rfc5424", **where, **more)
    return LogConfig(driver=LogDriver.SYSLOG, tag="web", syslog=syslog)


def texts(messages):
    """Return what was said in messages of syslog or of the journal."""
    return [
        (one["MESSAGE"] if isinstance(one, dict) else one.partition(b" - ")[2]).decode()
        for one in messages
    ]


@asynccontextmanager
async def sending(local=None):
    """Have a forwarding run; what it says is in its ``news``."""
    changes = Changes()
    forwarding = Forwarding(changes, local or LocalSockets(syslog=()))
    forwarding.news = []

    def tell(_, news):
        forwarding.news.append(news)

    forwarding.on_news(tell)
    tasks = [asyncio.create_task(changes.run()), asyncio.create_task(forwarding.run())]
    await asyncio.sleep(0)
    try:
        yield forwarding
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def came(server, *wanted):
    """Wait until the last of ``wanted`` has come, and see to it that all have, once, in order."""
    found = await asyncio.to_thread(
        server.wait, lambda all_: texts(all_)[-1:] == [wanted[-1]], wanted[-1]
    )
    assert texts(found) == [*wanted]


async def until(so):
    """Wait until something is so that nobody tells of."""
    async with asyncio.timeout(PATIENCE):
        while not so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
def log(tmp_path):
    """A log with nothing in it."""
    return Log(tmp_path / "shop" / "web" / "1")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, a server and a client."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=["udp", "tcp", "tcp+tls", "unix", "unixgram", "local", "journald"])
def transport(request, tmp_path, certificates):
    """Somebody who listens, how to send there, and where the host listens."""
    kind, path = request.param, tmp_path / "socket"
    local = LocalSockets(journal=path, syslog=(tmp_path / "none", path))
    if kind == "journald":
        server, config = Journal(path), LogConfig(driver=LogDriver.JOURNALD)
    elif kind in ("udp", "unixgram", "local"):
        server = Datagrams(path=None if kind == "udp" else path)
        config = to_syslog(server, kind)
        if kind == "local":
            config = LogConfig(
                driver=LogDriver.SYSLOG, tag="web", syslog=SyslogConfig(format="rfc5424")
            )
    else:
        tls = certificates.context() if kind == "tcp+tls" else None
        server = Streams(path=path if kind == "unix" else None, tls=tls, counted=tls is not None)
        config = to_syslog(server, kind, ca_cert=certificates.authority)
    with server:
        yield server, config, local


async def test_every_line_comes_once_and_in_order_by_every_transport(transport, log):
    server, config, local = transport
    log.write("first", "second")
    async with sending(local) as forwarding:
        forwarding.begin(log.folder, 1, config)
        await came(server, "first", "second")

        log.write("third")
        log.turn()
        log.write("four", kind="P")
        log.write("th")
        log.write("x" * 9000)
        await came(server, "first", "second", "third", "fourth", "x" * 9000)

    assert forwarding.news == []


async def test_whoever_goes_on_misses_nothing(transport, log):
    server, config, local = transport
    chance, count = random.Random(1), 0
    for _ in range(6):
        async with sending(local) as forwarding:
            forwarding.begin(log.folder, 1, config)
            for _ in range(chance.randint(1, 40)):
                count += 1
                if not chance.randrange(4):
                    log.turn()
                log.write(str(count))
            # Some lines are on their way when it ends, and some are not read.
            await asyncio.sleep(chance.random() / 5)
    async with sending(local) as forwarding:
        forwarding.begin(log.folder, 1, config)
        log.write("end")
        found = await asyncio.to_thread(server.wait, lambda all_: "end" in texts(all_), "the end")

    assert list(dict.fromkeys(texts(found))) == [*map(str, range(1, count + 1)), "end"]


async def test_whoever_goes_on_repeats_nothing_that_was_sent_and_noted(log, tmp_path):
    local = LocalSockets(journal=tmp_path / "socket")
    config = LogConfig(driver=LogDriver.JOURNALD)
    said = []
    # A piece without an end keeps the place behind all that is sent.
    log.write("never ended", kind="P", stream="stderr")
    with Journal(local.journal) as server:
        for number in range(5):
            async with sending(local) as forwarding:
                forwarding.begin(log.folder, 1, config)
                for part in ("a", "b"):
                    said.append(f"{number}{part}")
                    log.write(said[-1])
                    await came(server, *said)
                # At rest it is written down.
                await until(lambda: _noted(log) == len(said))


def _noted(log):
    progress = load_progress(log.folder)
    return progress.lines if progress else 0


async def test_lines_wait_for_a_target_that_is_away(log, tmp_path):
    path = tmp_path / "socket"
    config = LogConfig(driver=LogDriver.JOURNALD)
    log.write("first", "second")
    async with sending(LocalSockets(journal=path)) as forwarding:
        forwarding.begin(log.folder, 1, config)
        await until(lambda: forwarding.news)
        status = forwarding.status(log.folder)
        log.write("third")
        with Journal(path) as server:
            await came(server, "first", "second", "third")
        await until(lambda: forwarding.news[1:])

    cause = f"No such file or directory: `{path}`"
    assert forwarding.news == [
        Waiting(target="the journal", cause=cause),
        Waiting(target="the journal", cause=""),
    ]
    assert (status.target, status.cause, status.unsent) == ("the journal", cause, 0)
    assert status.since_wall is not None


async def test_nothing_is_lost_when_whoever_listens_begins_anew(log):
    first = Streams()
    async with sending() as forwarding:
        forwarding.begin(log.folder, 1, to_syslog(first, "tcp"))
        log.write("first")
        await came(first, "first")
        first.close()
        with Streams(port=first.port) as second:
            log.write("second", "third")
            await came(second, "second", "third")


async def test_one_who_takes_nothing_holds_only_up_what_goes_there(log, tmp_path):
    other = Log(tmp_path / "shop" / "web" / "2")
    with Streams(path=tmp_path / "stuck", stuck=True) as stuck, Streams() as server:
        log.write(*["x" * 1000] * 5000)
        other.write("heard")
        async with sending() as forwarding:
            forwarding.begin(log.folder, 1, to_syslog(stuck, "unix"))
            await asyncio.to_thread(stuck.wait, lambda _: stuck.connections, "a connection")
            forwarding.begin(other.folder, 1, to_syslog(server, "tcp"))
            await came(server, "heard")

        # What nobody has taken is not taken for sent.
        progress = load_progress(log.folder)
        assert (progress.place.offset, progress.lines) == (0, 0)


async def test_all_that_goes_to_one_place_goes_over_one_connection(tmp_path):
    with Streams() as server:
        async with sending() as forwarding:
            for number in range(1, 6):
                log = Log(tmp_path / "shop" / "web" / str(number))
                log.write(f"line {number}")
                forwarding.begin(log.folder, 1, to_syslog(server, "tcp"))
            found = await asyncio.to_thread(server.wait, lambda all_: len(all_) == 5, "all lines")

    assert sorted(texts(found)) == [f"line {number}" for number in range(1, 6)]
    assert server.connections == 1


async def test_what_goes_before_it_can_be_sent_is_counted_apart_from_the_log(log, tmp_path):
    config = LogConfig(driver=LogDriver.JOURNALD, max_size=1000, max_files=2)
    log.write("a" * 900)
    async with sending(LocalSockets(journal=tmp_path / "socket")) as forwarding:
        forwarding.begin(log.folder, 1, config)
        await until(lambda: forwarding.news)
        # The first is read by now; the second and the third go unread, one of them compressed.
        for text in ("b" * 900, "c" * 900, "d" * 900, "e" * 900):
            log.turn()
            log.write(text)
        log.pack(2)
        _drop(forwarding, log, config)
        forwarding.tell_unsent()
        with Journal(tmp_path / "socket") as server:
            await came(server, "a" * 900, "d" * 900, "e" * 900)
        status = forwarding.status(log.folder)

    record = len(written(1, b"b" * 900))
    assert status.unsent == 2 * record
    told = next(one for one in forwarding.news if isinstance(one, Loss))
    assert (told.size, told.why) == (2 * record, FULL)
    assert [one.size for _, one in read_losses(log.folder / FOLDER)] == [2 * record]
    assert list(read_losses(log.folder)) == []


def _drop(forwarding, log, config):
    turning.drop_old(
        log.folder,
        config,
        before=turning.NEVER,
        remove=lambda segment: forwarding.remove(segment, turning.remove),
    )


async def test_the_next_one_counts_what_only_the_last_one_could_still_have_sent(log, tmp_path):
    config = LogConfig(driver=LogDriver.JOURNALD, max_size=1000, max_files=2)
    local = LocalSockets(journal=tmp_path / "socket")
    log.write("a" * 900)
    async with sending(local) as forwarding:
        forwarding.begin(log.folder, 1, config)
        await until(lambda: forwarding.news)
        for text in ("b" * 900, "c" * 900):
            log.turn()
            log.write(text)
        # It is in memory, and in an open file: nothing is missing yet.
        _drop(forwarding, log, config)
        assert forwarding.status(log.folder).unsent == 0

    with Journal(local.journal) as server:
        async with sending(local) as forwarding:
            forwarding.begin(log.folder, 1, config)
            await came(server, "b" * 900, "c" * 900)

            assert forwarding.status(log.folder).unsent == len(written(1, b"a" * 900))


async def test_every_run_goes_where_it_was_to_and_one_that_stays_here_ends_it(log):
    with Streams() as first, Streams() as second:
        log.write("one", "and")
        log.write("a half", kind="P")
        async with sending() as forwarding:
            forwarding.begin(log.folder, 1, to_syslog(first, "tcp"))
            forwarding.end(log.folder)
            await came(first, "one", "and", "a half")
            Log(log.folder, 2).write("two")
            forwarding.begin(log.folder, 2, to_syslog(second, "tcp"))
            await came(second, "two")
            Log(log.folder, 3).write("three")
            forwarding.begin(log.folder, 3, LogConfig())
            await until(lambda: forwarding.status(log.folder) is None)
            await until(lambda: not is_begun(log.folder))
            Log(log.folder, 4).write("four")
            forwarding.begin(log.folder, 4, to_syslog(first, "tcp"))
            await came(first, "one", "and", "a half", "four")

        assert texts(second.messages) == ["two"]


async def test_what_ended_unsent_is_sent_by_the_next_daemon(log, tmp_path):
    local = LocalSockets(journal=tmp_path / "socket")
    log.write("last words")
    async with sending(local) as forwarding:
        forwarding.begin(log.folder, 1, LogConfig(driver=LogDriver.JOURNALD))
        forwarding.end(log.folder)
        await until(lambda: forwarding.news)

    with Journal(local.journal) as server:
        async with sending(local) as forwarding:
            await forwarding.resume(tmp_path)
            await came(server, "last words")
            await until(lambda: not forwarding._tasks)


async def test_a_log_that_goes_gets_its_last_lines_out_where_that_can_be(log, tmp_path):
    with Streams() as server:
        async with sending() as forwarding:
            forwarding.begin(log.folder, 1, to_syslog(server, "tcp"))
            log.write("last words")
            forwarding.end(log.folder)

            await forwarding.settle(tmp_path / "shop")
            forwarding.forget(tmp_path / "shop")

            await came(server, "last words")
            assert forwarding.news == []
            assert forwarding.status(log.folder) is None


async def test_a_log_that_goes_unsent_is_told_of(log, tmp_path):
    async with sending(LocalSockets(journal=tmp_path / "socket")) as forwarding:
        log.write("last words")
        forwarding.begin(log.folder, 1, LogConfig(driver=LogDriver.JOURNALD))
        forwarding.end(log.folder)
        await until(lambda: forwarding.news)

        await forwarding.settle(tmp_path / "shop")
        forwarding.forget(tmp_path / "shop")

    told = forwarding.news[-1]
    assert (told.size, told.why) == (len(written(1, b"last words")), REMOVED)


@pytest.mark.parametrize(
    ("files", "cause"),
    [
        ({}, "its certificate is not trusted"),
        ({"ca_cert": "/nowhere/ca.pem"}, "cannot use `/nowhere/ca.pem`: No such file"),
        ({"ca_cert": "ca", "cert": "key"}, "cannot use `"),
    ],
)
async def test_a_target_that_is_not_trusted_gets_nothing(certificates, log, files, cause):
    known = {"ca": certificates.authority, "key": certificates.client_key}
    log.write("secret")
    with Streams(tls=certificates.context(), counted=True) as server:
        config = to_syslog(server, "tcp+tls", **{k: known.get(v, v) for k, v in files.items()})
        async with sending() as forwarding:
            forwarding.begin(log.folder, 1, config)
            await until(lambda: forwarding.news)

        assert forwarding.news[0].cause.startswith(cause)
        assert server.messages == []


async def test_whoever_asks_for_it_gets_a_certificate_or_an_encrypted_line_all_the_same(
    certificates, log
):
    log.write("secret")
    asking = certificates.context(ask_client=True)
    with (
        Streams(tls=asking, counted=True) as strict,
        Streams(tls=certificates.context(), counted=True) as unknown,
    ):
        async with AsyncExitStack() as stack:
            forwarding = await stack.enter_async_context(sending())
            own = {"cert": certificates.client, "key": certificates.client_key}
            config = to_syslog(strict, "tcp+tls", ca_cert=certificates.authority, **own)
            forwarding.begin(log.folder, 1, config)
            await came(strict, "secret")
            Log(log.folder, 2).write("other")
            forwarding.begin(log.folder, 2, to_syslog(unknown, "tcp+tls", skip_verify=True))
            await came(unknown, "other")


async def test_a_line_of_a_megabyte_is_one_entry_of_the_journal(log, tmp_path):
    text = "x" * 999_999
    for start in range(0, len(text), 8000):
        log.write(text[start : start + 8000], kind="P")
    log.write("")
    with Journal(tmp_path / "socket") as server:
        async with sending(LocalSockets(journal=server.path)) as forwarding:
            forwarding.begin(log.folder, 1, LogConfig(driver=LogDriver.JOURNALD))
            await came(server, text)


async def test_progress_that_is_damaged_holds_nobody_up(log, tmp_path):
    (log.folder / FOLDER).mkdir()
    (log.folder / FOLDER / "progress.json").write_text('{"place": 7')
    log.write("first")
    with Journal(tmp_path / "socket") as server:
        async with sending(LocalSockets(journal=server.path)) as forwarding:
            forwarding.begin(log.folder, 1, LogConfig(driver=LogDriver.JOURNALD))
            await came(server, "first")

    assert json.loads((log.folder / FOLDER / "progress.json").read_text())["routes"]
    assert list_segments(log.folder)[0].number == 1
