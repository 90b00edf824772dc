"""The real drivers keep their promises on this machine, and leave nothing on it."""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import tarfile
from contextlib import AsyncExitStack
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network

import pytest

from orchestrator.settings import Settings
from runtime.errors import ConflictError, InvalidError, UnavailableError
from runtime.image import Images
from runtime.logs import LogKeeper
from runtime.network import Networks
from runtime.network.names import bridge_name, veth_name
from runtime.oci import Containers
from runtime.syscalls import mount, umount2
from runtime.testing.contract import (
    ContainerContract,
    ImageContract,
    NetworkContract,
    VolumeContract,
    specimens,
)
from runtime.testing.contract.networks import BACK, FRONT, WEB, network, sandbox
from runtime.testing.contract.volumes import DATA
from runtime.types import ExecConfig, ExecProbe, NetworkKind, Running, VolumeConfig
from runtime.volumes import Volumes
from tests.images import write_layout
from tests.leaks import find_leaks

pytestmark = pytest.mark.root


@pytest.fixture
async def instance(tmp_path):
    """A pyorch of the test's own; nothing of it may be left on the host."""
    settings = Settings(
        name=f"c{secrets.token_hex(3)}", data=tmp_path / "data", run=tmp_path / "run"
    )
    settings.run.mkdir()
    settings.data.mkdir()
    yield settings.instance()
    assert find_leaks(settings.instance()) == []


@pytest.fixture
async def opened(instance):
    """Closes what a test opened, the last one first."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def images(instance, opened):
    """The instance's image store, empty."""
    driver = Images(instance)
    opened.push_async_callback(driver.close)
    return driver


class TestRealContainers(ContainerContract):
    @pytest.fixture
    async def driver(self, instance, images, opened):
        async def clean():
            # Whoever holds them now: the driver of the test, or the one it opened after it.
            last = await self.open(instance, images)
            for found in await last.list():
                await last.kill(found.id)
                await last.remove(found.id)
            await last.close()

        opened.push_async_callback(clean)
        driver = await self.open(instance, images)
        opened.push_async_callback(driver.close)
        return driver

    @pytest.fixture
    async def image(self, images, busybox):
        return (await images.import_rootfs(busybox, name="busybox")).id

    @pytest.fixture
    def reopen(self, instance, images, driver, opened):
        async def close_and_open():
            await driver.close()
            other = await self.open(instance, images)
            opened.push_async_callback(other.close)
            return other

        return close_and_open

    async def open(self, instance, images):
        driver = Containers(instance, images, Volumes(instance), LogKeeper())
        await driver.open()
        return driver

    async def test_logs_outlive_their_container(self, driver, image, tmp_path):
        ends = specimens.Ends(driver)
        config = specimens.container(specimens.WEB, image, tmp_path, *specimens.TALKING)
        await specimens.run(driver, config)
        await ends.wait(specimens.WEB)

        await driver.remove(specimens.WEB)

        log = (config.log / "1.1.log").read_text()
        assert "out" in log
        assert "err" in log

    async def test_a_full_disk_is_told_and_leaves_nothing_of_what_was_begun(
        self, driver, image, tmp_path, instance
    ):
        place = instance.data / "containers"
        mount("full", place, "tmpfs", 0, "size=8k")
        config = specimens.container(specimens.WEB, image, tmp_path, *specimens.STUBBORN)
        try:
            with pytest.raises(UnavailableError) as refused:
                await driver.create(config)

            assert refused.value.code == "no_space"
            assert list(place.iterdir()) == []
        finally:
            umount2(place, 0)
        await specimens.run(driver, config)

    async def test_an_end_that_cannot_be_written_down_is_told_all_the_same(
        self, driver, image, tmp_path, instance
    ):
        ends = specimens.Ends(driver)
        config = specimens.container(specimens.WEB, image, tmp_path, *specimens.STUBBORN)
        await specimens.run(driver, config)
        # What is written is put beside its place first.
        obstacle = instance.data / "containers" / specimens.WEB / ".state.json.writing"
        obstacle.mkdir()
        found = await specimens.phase(driver)

        os.kill(found.pid, signal.SIGKILL)

        assert (await ends.wait(specimens.WEB)).code == 137
        obstacle.rmdir()

    async def test_a_container_whose_record_is_broken_goes_on_and_can_be_ended(
        self, driver, image, tmp_path, instance, reopen
    ):
        config = specimens.container(specimens.WEB, image, tmp_path, *specimens.STUBBORN)
        await specimens.run(driver, config)
        (instance.data / "containers" / specimens.WEB / "record.json").write_bytes(b"")
        again = await reopen()

        assert await again.sweep() == []

        (found,) = await again.list()
        assert (found.id, found.image, found.logged) == (specimens.WEB, "", False)
        assert isinstance(found.phase, Running)
        with pytest.raises(ConflictError):
            await again.create(config)
        await again.stop(specimens.WEB, grace=60.0)
        await again.kill(specimens.WEB)
        await again.remove(specimens.WEB)
        assert await again.list() == ()
        await specimens.run(again, config)

    async def test_a_probe_that_takes_too_long_leaves_no_process(self, driver, image, tmp_path):
        config = specimens.container(specimens.WEB, image, tmp_path, *specimens.STUBBORN)
        await specimens.run(driver, config)

        await driver.probe(
            specimens.WEB, ExecProbe(("sh", "-c", "sleep 777 & sleep 778")), timeout=0.2
        )

        everybody = ("sh", "-c", "cat /proc/[0-9]*/cmdline")
        seen = await driver.probe(specimens.WEB, ExecProbe(everybody), timeout=specimens.PATIENCE)
        assert b"sleep\x001000" in seen.output
        assert b"sleep\x0077" not in seen.output
        assert isinstance(await specimens.phase(driver), Running)

    async def test_a_session_closed_at_once_leaves_no_process(self, driver, image, tmp_path):
        config = specimens.container(specimens.WEB, image, tmp_path, *specimens.STUBBORN)
        await specimens.run(driver, config)

        for _ in range(5):
            session = await driver.exec(specimens.WEB, ExecConfig(argv=("sleep", "779")))
            await session.close()

        everybody = ("sh", "-c", "cat /proc/[0-9]*/cmdline")
        seen = await driver.probe(specimens.WEB, ExecProbe(everybody), timeout=specimens.PATIENCE)
        assert b"sleep\x001000" in seen.output
        assert b"sleep\x00779" not in seen.output


class TestRealImages(ImageContract):
    @pytest.fixture
    def driver(self, images):
        return images

    @pytest.fixture
    def rootfs(self, busybox):
        return busybox

    @pytest.fixture
    def layout(self, tmp_path, busybox):
        return write_layout(tmp_path / "layout", busybox.read_bytes())

    @pytest.fixture
    def archive(self, tmp_path, layout):
        return pack(layout, tmp_path / "archive.tar")

    @pytest.fixture
    def broken(self, tmp_path, busybox):
        layout = write_layout(tmp_path / "broken", busybox.read_bytes())
        biggest = max((layout / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
        data = bytearray(biggest.read_bytes())
        data[5000] ^= 1
        biggest.write_bytes(data)
        return pack(layout, tmp_path / "broken.tar")

    @pytest.fixture
    def remote(self, registry, layout):
        # A registry that is still starting refuses: skopeo asks again.
        flags = ["-q", "--retry-times", "5", "--dest-tls-verify=false"]
        target = f"{registry}/tiny:1"
        subprocess.run(
            ["skopeo", "copy", *flags, f"oci:{layout}", f"docker://{target}"], check=True
        )
        return target

    async def test_a_broken_archive_leaves_no_layer(self, driver, broken, instance):
        with pytest.raises(InvalidError):
            await driver.load(broken, name="tiny")

        left = [path for path in (instance.data / "images").rglob("*") if path.is_file()]
        assert left == []


class TestRealNetworks(NetworkContract):
    @pytest.fixture
    async def driver(self, instance, opened):
        async def clean():
            last = await self.open(instance)
            for found in await last.list_sandboxes():
                await last.remove_sandbox(found.config.id)
            for found in await last.list():
                await last.remove(found.config.id)
            await last.close()

        opened.push_async_callback(clean)
        driver = await self.open(instance)
        opened.push_async_callback(driver.close)
        return driver

    @pytest.fixture
    def subnets(self):
        # Of the block for benchmarks (RFC 2544), which nobody routes.
        both = IPv4Network(f"198.18.{secrets.randbelow(256)}.{secrets.randbelow(8) * 32}/27")
        return list(both.subnets())

    @pytest.fixture
    def stray(self, instance):
        name = f"pov{secrets.token_hex(4)}"
        subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
        alias = f"{instance.alias}stray"
        subprocess.run(["ip", "link", "set", name, "alias", alias], check=True)
        return name

    @pytest.fixture
    def lose_bridge(self, instance):
        async def lose(name):
            delete_link(bridge_name(instance, name))

        return lose

    @pytest.fixture
    def lose_link(self, instance):
        async def lose(container):
            delete_link(veth_name(instance, container, FRONT))

        return lose

    @pytest.fixture
    def reopen(self, instance, driver, opened):
        async def close_and_open():
            await driver.close()
            other = await self.open(instance)
            opened.push_async_callback(other.close)
            return other

        return close_and_open

    async def open(self, instance):
        driver = Networks(instance)
        await driver.open()
        return driver

    async def test_mending_keeps_the_namespace(self, driver, subnets, lose_link):
        front = network(FRONT, subnets[0])
        await driver.create(front)
        path = await driver.create_sandbox(sandbox(WEB, front))
        before = os.stat(path).st_ino

        await lose_link(WEB)
        await driver.create_sandbox(sandbox(WEB, front))

        assert os.stat(path).st_ino == before

    @pytest.fixture
    def parent(self):
        """A link of the host's that networks may be on; it has nothing to do with pyorch."""
        name = f"t{secrets.token_hex(4)}"
        make_link(name)
        yield name
        delete_link(name)

    @pytest.mark.parametrize("version", [4, 6])
    async def test_the_way_to_the_resolvers_is_put_back_and_nothing_members_may_change(
        self, driver, subnets, version
    ):
        # IPv6 for documentation (RFC 3849), which nobody routes either.
        six = IPv6Network(f"2001:db8:{secrets.randbelow(0x10000):x}::/64")
        front = network(FRONT, subnets[0] if version == 4 else six)
        await driver.create(front)
        path = await driver.create_sandbox(sandbox(WEB, front))
        net = way_to_names(path, version)
        assert list(await driver.mend(everything=True)) == []

        within(path, "ip", f"-{version}", "route", "delete", net)
        within(path, "ip", f"-{version}", "route", "delete", "default")
        mended = await driver.mend(everything=True)

        assert mended == [f"way to the resolvers of {WEB}"]
        assert way_to_names(path, version) == net
        left = within(path, "ip", f"-{version}", "route", "show", "default")
        assert left == "", "somebody had reasons"
        within(path, "ip", "link", "set", "eth0", "down")
        assert list(await driver.mend(everything=True)) == [], "there is no way it could lead"

    async def test_a_namespace_full_of_routes_is_let_be(self, driver, subnets):
        front = network(FRONT, subnets[0])
        await driver.create(front)
        path = await driver.create_sandbox(sandbox(WEB, front))
        net = way_to_names(path)
        gateway = str(front.subnets[0].gateway)
        many = (f"route add 10.{n >> 8}.{n & 255}.0/24 via {gateway}" for n in range(5000))

        within(path, "ip", "-batch", "-", stdin="\n".join(many))
        within(path, "ip", "route", "delete", net)

        assert list(await driver.mend(everything=True)) == []

    async def test_a_link_on_one_of_the_hosts_is_made_again_once_that_is_back(
        self, driver, subnets, parent
    ):
        lan = replace(network(FRONT, subnets[0]), kind=NetworkKind.MACVLAN, parent=parent)
        await driver.create(lan)
        path = await driver.create_sandbox(sandbox(WEB, lan))
        before = within(path, "ip", "-o", "address", "show", "dev", "eth0")
        await driver.mend(everything=True)

        delete_link(parent)
        alone = list(await driver.mend(everything=True))
        heard = asyncio.Event()
        driver.on_drift(heard.set)
        make_link(parent)
        await heard.wait()
        mended = await driver.mend(everything=False)

        assert alone == []
        assert mended == [f"link eth0 of {WEB}"]
        assert list(await driver.mend(everything=True)) == []
        assert addresses(within(path, "ip", "-o", "address", "show", "dev", "eth0")) == (
            addresses(before)
        )
        assert "dev eth0" in within(path, "ip", "route", "show", "default")

    @pytest.mark.parametrize("broken", ["", '{"id": "shop_front"}', "[]"])
    async def test_what_is_recorded_in_a_way_nobody_can_read_stays_and_is_taken_over(
        self, driver, subnets, instance, reopen, broken
    ):
        front = network(FRONT, subnets[0])
        await driver.create(front)
        namespace = await driver.create_sandbox(sandbox(WEB, front))
        before = os.stat(namespace).st_ino
        bridge = index_of(bridge_name(instance, FRONT))
        link = index_of(veth_name(instance, WEB, FRONT))
        records = instance.run / "network"
        (records / "networks" / f"{FRONT}.json").write_text(broken)
        (records / "sandboxes" / f"{WEB}.json").write_text(broken)
        again = await reopen()

        assert await again.list() == ()
        assert await again.list_sandboxes() == ()
        assert await again.sweep() == []
        assert await again.mend(everything=True) == []
        await again.create(front)
        await again.create_sandbox(sandbox(WEB, front))

        assert os.stat(namespace).st_ino == before
        assert index_of(bridge_name(instance, FRONT)) == bridge
        assert index_of(veth_name(instance, WEB, FRONT)) == link
        assert [one.intact for one in await again.list_sandboxes()] == [True]

    async def test_a_sandbox_of_a_network_nobody_can_read_of_is_mended_once_it_is_known(
        self, driver, subnets, instance, reopen, lose_link
    ):
        front, back = network(FRONT, subnets[0]), network(BACK, subnets[1])
        await driver.create(front)
        await driver.create(back)
        await driver.create_sandbox(sandbox(WEB, front))
        (instance.run / "network" / "networks" / f"{FRONT}.json").write_text("{}")
        again = await reopen()
        await lose_link(WEB)

        assert await again.mend(everything=True) == []
        assert await again.sweep() == []
        await again.create(front)

        assert await again.mend(everything=True) == [f"links of {WEB}"]
        assert [one.intact for one in await again.list_sandboxes()] == [True]

    async def test_what_no_record_accounts_for_is_swept(self, driver, instance, stray):
        swept = await driver.sweep()

        assert swept == [f"link {stray} ({instance.alias}stray)"]


def make_link(name):
    run("ip", "link", "add", name, "up", "type", "bridge")


def within(path, *words, stdin=""):
    """Run a command in the network namespace pinned at ``path``; return what it printed."""
    return run("nsenter", f"--net={path}", *words, stdin=stdin)


def way_to_names(path, version=4):
    """Return the net of the resolvers, as a namespace knows the way to it."""
    lines = within(path, "ip", f"-{version}", "route", "show").splitlines()
    begin = ("169.254.", "fd")
    (found,) = (line.split()[0] for line in lines if line.startswith(begin) and " via " in line)
    return found


def addresses(printed):
    """Return those of what `ip -o address` prints."""
    return {word for word in printed.split() if "/" in word and word[0].isdigit()}


def run(*words, stdin=""):
    return subprocess.run(words, input=stdin, capture_output=True, text=True, check=True).stdout


class TestRealVolumes(VolumeContract):
    @pytest.fixture
    async def driver(self, instance, opened):
        driver = Volumes(instance)

        async def clean():
            for found in await driver.list():
                await driver.remove(found.id)

        opened.push_async_callback(clean)
        return driver

    async def test_the_content_of_a_volume_that_exists_is_kept(self, driver):
        await driver.create(VolumeConfig(id=DATA))
        (found,) = await driver.list()
        (found.path / "precious").write_text("data")

        await driver.create(VolumeConfig(id=DATA))

        assert (found.path / "precious").read_text() == "data"

    async def test_the_content_of_a_removed_volume_is_gone(self, driver):
        await driver.create(VolumeConfig(id=DATA))
        (found,) = await driver.list()
        (found.path / "precious").write_text("data")
        await driver.remove(DATA)

        await driver.create(VolumeConfig(id=DATA))

        assert list(found.path.iterdir()) == []


def index_of(link):
    return socket.if_nametoindex(link)


def delete_link(name):
    subprocess.run(["ip", "link", "del", name], check=True)


def pack(layout, target):
    with tarfile.open(target, "w") as archive:
        archive.add(layout, arcname=".")
    return target
