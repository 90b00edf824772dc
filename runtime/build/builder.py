"""The build driver: buildah, for one build at a time each in a room of its own.

Base images come from our store and what is built goes back there; registries are asked by the
image driver alone. The builder's storage below the data directory is a cache: it may be thrown
away whenever no build runs.
"""

import asyncio
import contextlib
import hashlib
import inspect
import itertools
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from typing_extensions import override

from runtime import cgroups
from runtime.build import command, gate
from runtime.build.context import receive
from runtime.build.dockerfile import Needs, read_needs
from runtime.build.room import NOWHERE, Bind, Room, program
from runtime.drivers import BuildDriver, OnOutput
from runtime.errors import InvalidError, UnsupportedError
from runtime.files import in_thread, read_json, write_atomic
from runtime.image import Images
from runtime.image.reference import parse_reference
from runtime.oci.choice import choose_runtime
from runtime.platforms import this_platform
from runtime.process import spawn, wait_for
from runtime.types import BuildConfig, Digest, ImageFacts, Instance

T = TypeVar("T")

AT_ONCE = 4
"""Builds that run; others wait for their turn."""
LONGEST_ERROR = 2000
OWN_LABEL = "io.buildah.version"
"""Says which builder it was: of the machine, and not of the image."""
EPOCH = "1970-01-01T00:00:00Z"
MARK = "\n# begins with "
"""Before the id of a base image, in what the builder reads of its history."""
ENVIRON = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "TMPDIR": "/var/tmp"}
FILES = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "/etc/group": "root:x:0:\n",
    "/etc/containers/policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}\n',
    "/etc/containers/registries.conf": 'unqualified-search-registries = ["docker.io"]\n',
    command.NOTHING: "",
}


@dataclass(frozen=True, slots=True)
class _Place:
    """The folders of one build."""

    work: Path
    """On disk: the contexts, and what comes out."""
    run: Path
    """In memory: the room's mount point, secrets."""
    cgroup: str


class Builder(BuildDriver):
    """Builds images of one instance into its store."""

    def __init__(self, instance: Instance, images: Images) -> None:
        self._instance = instance
        self._images = images
        self._root = instance.data / "build"
        self._run = instance.run / "build"
        # A sibling of the containers' group: what is in there is accounted for by its driver.
        self._cgroup = f"{instance.cgroup}.builds"
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._numbers = itertools.count(1)
        self._bases = asyncio.Lock()
        self._idle = asyncio.Condition()
        self._running = 0

    def open(self) -> None:
        """Throw away what an earlier daemon was killed in the middle of."""
        shutil.rmtree(self._run, ignore_errors=True)
        shutil.rmtree(self._root / "work", ignore_errors=True)
        for folder in self._temporary.iterdir() if self._temporary.is_dir() else ():
            if folder.name not in gate.CACHES:
                shutil.rmtree(folder, ignore_errors=True)
        cgroups.remove(self._cgroup)

    # ── the protocol ─────────────────────────────────────────────────────────────────────

    @override
    async def build(
        self, config: BuildConfig, context: AsyncIterator[bytes], output: OnOutput
    ) -> ImageFacts:
        for name in config.names:
            parse_reference(name)
        if shutil.which(command.BUILDAH) is None:
            raise UnsupportedError(
                "build image",
                config.names[0],
                "buildah is not installed",
                hint="apt-get install buildah",
            )
        needs = read_needs(
            config.dockerfile,
            config.args,
            config.target,
            {*config.contexts, *config.image_contexts},
        )
        self._check_platforms(needs, config)
        async with AsyncExitStack() as using, self._turn() as place:
            contexts = place.work / "contexts"
            bases = await self._together(
                self._base_images(needs, config, output, using), receive(context, contexts)
            )
            await self._take_bases(bases, place)
            return await self._build(config, needs, place, output)

    @override
    async def prune(self) -> int:
        async with self._idle:
            await self._idle.wait_for(lambda: self._running == 0)
            # Nobody begins as long as this is held.
            return await in_thread(self._clear)

    # ── a turn ───────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[_Place]:
        async with self._turns:
            async with self._idle:
                self._running += 1
            place = self._place(next(self._numbers))
            try:
                yield place
            finally:
                await in_thread(self._leave, place)
                async with self._idle:
                    self._running -= 1
                    self._idle.notify_all()

    def _place(self, number: int) -> _Place:
        place = _Place(
            self._root / "work" / str(number), self._run / str(number), f"{self._cgroup}/{number}"
        )
        for folder in (place.work / "contexts", place.work / "out/layout/blobs/sha256"):
            folder.mkdir(parents=True, mode=0o700)
        for name in ("root", "secrets", "keys"):
            (place.run / name).mkdir(parents=True, mode=0o700)
        for folder in (self._storage, self._temporary):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._temporary.chmod(0o1777)
        return place

    def _leave(self, place: _Place) -> None:
        shutil.rmtree(place.run, ignore_errors=True)
        shutil.rmtree(place.work, ignore_errors=True)
        cgroups.remove(place.cgroup)
        cgroups.remove_if_empty(self._cgroup)

    def _clear(self) -> int:
        freed = _size(self._root)
        shutil.rmtree(self._root, ignore_errors=True)
        return freed

    async def _together(self, asked: Awaitable[T], beside: Awaitable[None]) -> T:
        """Return what ``asked`` comes to; neither goes on alone."""
        tasks = asyncio.ensure_future(asked), asyncio.ensure_future(beside)
        try:
            found, _ = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise
        return found

    @property
    def _storage(self) -> Path:
        return self._root / "storage"

    @property
    def _temporary(self) -> Path:
        return self._root / "tmp"

    # ── base images ──────────────────────────────────────────────────────────────────────

    def _check_platforms(self, needs: Needs, config: BuildConfig) -> None:
        here = this_platform()
        known = {str(here), f"{here.os}/{here.architecture}"}
        if config.platforms and known.isdisjoint(config.platforms):
            raise UnsupportedError(
                "build image",
                config.names[0],
                f"{', '.join(config.platforms)}: none of them is this machine's {here}",
                hint="build it on a machine of that platform",
            )
        for platform in needs.platforms:
            if platform not in known:
                raise UnsupportedError(
                    "build image",
                    config.names[0],
                    f"`FROM --platform={platform}` is for another machine than this {here}",
                    hint="build it on a machine of that platform",
                )

    async def _base_images(
        self, needs: Needs, config: BuildConfig, output: OnOutput, using: AsyncExitStack
    ) -> Mapping[str, ImageFacts]:
        """Return the images a build begins with, by the names it has for them.

        Nobody else may need them: they stay until ``using`` is closed.
        """
        names = (*needs.images, *config.image_contexts.values())
        found = {}
        for name in dict.fromkeys(names):
            facts = None
            if not config.pull:
                facts = await using.enter_async_context(self._images.using(name))
            if facts is None:
                await output(f"pulling {parse_reference(name)}\n".encode())
                facts = await self._images.pull(name)
                await using.enter_async_context(self._images.using(facts.id))
            found[name] = facts
        return found

    async def _take_bases(self, bases: Mapping[str, ImageFacts], place: _Place) -> None:
        """Have the builder's storage know base images under the names a Dockerfile has."""
        async with self._bases:
            record = self._storage / "bases.json"
            known = read_json(record) or {}
            for name, facts in bases.items():
                reference = parse_reference(name)
                tag = reference.tag or f"pyorch-{facts.id[7:19]}"
                full = f"{reference.registry}/{reference.repository}:{tag}"
                if known.get(full) == facts.id:
                    continue
                await self._take_base(full, facts.id, place)
                known = {**known, full: facts.id}
                await in_thread(write_atomic, record, json.dumps(known).encode())

    async def _take_base(self, name: str, image: Digest, place: _Place) -> None:
        layout = place.work / "base"
        layout.mkdir()
        try:
            await self._images.save([image], layout)
            await in_thread(_mark, layout, image)
            told = await self._run_quietly(command.take_words("/base"), place, base=layout)
            taken = told.split()[-1]
            await self._run_quietly(command.name_words(taken, name), place)
        finally:
            await in_thread(shutil.rmtree, layout, ignore_errors=True)

    # ── building ─────────────────────────────────────────────────────────────────────────

    async def _build(
        self, config: BuildConfig, needs: Needs, place: _Place, output: OnOutput
    ) -> ImageFacts:
        for folder, entries in (("secrets", config.secrets), ("keys", config.keys)):
            for name, data in entries.items():
                write_atomic(place.run / folder / name, data)
        words = command.build_words(
            # A stage that comes from the cache is not there to be mounted: buildah 1.28.
            config,
            cgroup=place.cgroup,
            no_cache=needs.mounts_stages,
        )
        room = self._room(words, place, config)
        code, last = await self._watch(room, output)
        if code != 0:
            raise InvalidError("build image", config.names[0], _reason(last), code="build_failed")
        image = (place.work / "out/id").read_text().strip().removeprefix("sha256:")
        told = json.loads(await self._run_quietly(command.tell_words(image), place))
        return await self._take(image, json.loads(told["Config"]), config.names, place)

    async def _take(
        self, image: str, document: dict[str, Any], names: Sequence[str], place: _Place
    ) -> ImageFacts:
        """Take what was built into the store; layers it has are not even written."""
        diffs = document["rootfs"]["diff_ids"]
        ((document.get("config") or {}).get("Labels") or {}).pop(OWN_LABEL, None)
        _unmark(document)
        layout = place.work / "out/layout"
        async with self._images.known_layers() as known:
            for diff in known & set(diffs):
                # The builder leaves alone what seems to be there already.
                (layout / "blobs/sha256" / diff[7:]).touch()
            await self._run_quietly(command.give_words(image), place)
            return await self._images.adopt(layout, json.dumps(document).encode(), names=names)

    # ── rooms ────────────────────────────────────────────────────────────────────────────

    def _room(
        self,
        words: Sequence[str],
        place: _Place,
        config: BuildConfig | None = None,
        base: Path | None = None,
    ) -> Room:
        binds = [
            Bind(source=str(self._storage), target="/storage", writable=True),
            Bind(source=str(self._temporary), target="/var/tmp", writable=True),
            Bind(source=str(place.work / "out"), target="/out", writable=True),
            Bind(source=str(place.run / "secrets"), target="/build/secrets"),
            Bind(source=str(place.run / "keys"), target="/build/keys"),
        ]
        network, files = NOWHERE, dict(FILES)
        if base is not None:
            binds.append(Bind(source=str(base), target="/base"))
        if sys.base_prefix != "/usr":
            binds.append(Bind(source=sys.base_prefix, target=sys.base_prefix))
        runtime = shutil.which(choose_runtime()[0]) or ""
        if config is not None:
            binds += [
                Bind(source=str(folder), target=f"/context/{number}")
                for number, folder in enumerate(_folders(place, config))
            ]
            files[command.DOCKERFILE] = config.dockerfile
            files[command.RUNTIME] = _gate()
            files["/etc/hosts"] = "127.0.0.1 localhost\n::1 localhost\n"
            files["/etc/resolv.conf"] = _resolvers(config)
            network = NOWHERE if config.offline else config.netns
        return Room(
            root=str(place.run / "root"),
            argv=tuple(words),
            binds=tuple(binds),
            files=files,
            environ={**ENVIRON, gate.RUNTIME: runtime},
            network=network,
        )

    async def _run_quietly(
        self, words: Sequence[str], place: _Place, *, base: Path | None = None
    ) -> str:
        told: list[bytes] = []

        async def hear(data: bytes) -> None:
            told.append(data)

        code, last = await self._watch(self._room(words, place, base=base), hear)
        if code != 0:
            # A later buildah begins nothing without its helper, though no build here uses it.
            alone = b'could not find "netavark"' in last
            hint = (
                "apt-get install netavark" if alone else "`pyorch builder prune` begins a new one"
            )
            raise InvalidError("use", "build cache", _reason(last), hint=hint)
        return b"".join(told).decode(errors="replace")

    async def _watch(self, room: Room, output: OnOutput) -> tuple[int, bytes]:
        """Run a room to its end; return its exit code and the last it said."""
        reading, writing = os.pipe()
        leash, held = os.pipe()
        reader = asyncio.StreamReader()
        try:
            process = await spawn(program(room), stdin=leash, stdout=writing, stderr=writing)
        except BaseException:
            for fd in (reading, held):
                os.close(fd)
            raise
        finally:
            os.close(leash)
            os.close(writing)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", buffering=0)
        )
        last = b""
        try:
            while data := await reader.read(64 * 1024):
                await output(data)
                last = (last + data)[-LONGEST_ERROR:]
        finally:
            # Whoever is still in the room goes with the end of its leash.
            os.close(held)
            code = await asyncio.shield(wait_for(process))
            transport.close()
        return code, last


def _folders(place: _Place, config: BuildConfig) -> Iterator[Path]:
    for number in range(len(config.contexts)):
        folder = place.work / "contexts" / str(number)
        folder.mkdir(exist_ok=True)
        yield folder


def _gate() -> str:
    python = os.path.realpath(sys.executable)
    return f"#!{python} -IS\n{inspect.getsource(gate)}"


def _resolvers(config: BuildConfig) -> str:
    if config.nameservers:
        return "".join(f"nameserver {address}\n" for address in config.nameservers)
    with contextlib.suppress(FileNotFoundError):
        return Path("/etc/resolv.conf").read_text()
    return ""


def _mark(layout: Path, image: Digest) -> None:
    """Have the history of an image say which one it is, and have a line for every layer.

    The builder takes a step from its cache where the layers and the history before it are the
    same: of two images that differ in nothing but their configuration they may be.
    """
    blobs = layout / "blobs/sha256"
    index = json.loads((layout / "index.json").read_bytes())
    entry = index["manifests"][0]
    manifest = json.loads((blobs / entry["digest"][7:]).read_bytes())
    config = json.loads((blobs / manifest["config"]["digest"][7:]).read_bytes())
    history = config.get("history") or []
    layers = config["rootfs"]["diff_ids"]
    if sum(not one.get("empty_layer") for one in history) != len(layers):
        history = [{"created_by": "a layer"} for _ in layers]
    for line in history:
        # Without a date it would never find the steps it has made on top of it before.
        line["created"] = line.get("created") or config.get("created") or EPOCH
    last = history[-1]
    last["comment"] = f"{last.get('comment') or ''}{MARK}{image}"
    config["history"] = history
    manifest["config"] |= _put(blobs, config)
    entry |= _put(blobs, manifest)
    (layout / "index.json").write_text(json.dumps(index))


def _unmark(document: dict[str, Any]) -> None:
    """Take out of a history again what is there for the builder alone."""
    for line in document.get("history") or ():
        comment, mark, _ = (line.get("comment") or "").partition(MARK)
        if mark:
            line["comment"] = comment
        if not line.get("comment"):
            line.pop("comment", None)


def _put(blobs: Path, document: Mapping[str, Any]) -> dict[str, object]:
    data = json.dumps(document).encode()
    name = hashlib.sha256(data).hexdigest()
    (blobs / name).write_bytes(data)
    return {"digest": f"sha256:{name}", "size": len(data)}


def _reason(last: bytes) -> str:
    """Return what the builder complained of, on one line."""
    lines = [line.strip() for line in last.decode(errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    found = errors[-1] if errors else lines[-1] if lines else "it said nothing"
    return found[:500]


def _size(folder: Path) -> int:
    total = 0
    for above, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(above, name)).st_blocks * 512
    return total
