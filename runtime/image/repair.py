"""Mending what a check found."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from runtime.errors import DriverError
from runtime.files import in_thread
from runtime.image.check import Damage, unpack_again
from runtime.image.manifest import Descriptor
from runtime.image.pulling import Puller, find_remote
from runtime.image.reference import Reference, parse_reference
from runtime.image.registry import Registry
from runtime.image.store import Store
from runtime.trouble import trouble

Connect = Callable[[Reference], AbstractAsyncContextManager[Registry]]


class Mender:
    """Puts right what is damaged: from what is kept, else from where it came."""

    def __init__(self, store: Store, puller: Puller, connect: Connect, lock: asyncio.Lock) -> None:
        """Mend ``store``, holding ``lock`` while something of it is replaced."""
        self._store = store
        self._puller = puller
        self._connect = connect
        self._lock = lock
        self._unpacking = asyncio.Lock()

    async def mend(self, damage: Damage) -> tuple[bool, str]:
        """Return whether it is right again, and how it was done or why it could not be."""
        try:
            async with trouble("repair", damage.digest):
                return await self._mend(damage)
        except DriverError as error:
            return False, error.cause

    async def _mend(self, damage: Damage) -> tuple[bool, str]:
        layer, diff = damage.descriptor, damage.diff
        if await self.unpack_again(damage):
            return True, "unpacked again from its blob"
        source = self._store.catalog().images[damage.image].source
        if not source:
            return False, "nobody knows where it came from: pull, load or import the image again"
        reference = parse_reference(f"{source}@{damage.image}")
        async with self._connect(reference) as registry:
            if layer is None:
                found = await find_remote(registry, reference)
                async with self._lock:
                    await in_thread(self._store.put_document, found.config_data)
                    await in_thread(self._store.put_document, found.manifest_data)
            else:
                adopt = None if damage.kind == "blob" else self._store.replace_layer
                await self._puller.layer(registry, layer, diff, None, adopt)
        return True, f"fetched again from {source}"

    async def unpack_again(self, damage: Damage) -> bool:
        """Mend a layer from its blob; return False where there is none, or no better one."""
        layer = damage.descriptor
        if layer is None or damage.kind != "layer" or not self._store.has_blob(layer.digest):
            return False
        async with self._unpacking:
            if damage.missing and self._store.has_layer(damage.diff):
                return True  # somebody else saw the same
            try:
                await in_thread(self._unpack_again, layer, damage.diff)
            except DriverError:
                return False
        return True

    def _unpack_again(self, layer: Descriptor, diff: str) -> None:
        with self._store.stage() as folder:
            unpack_again(self._store, layer, diff, folder / "content")
            self._store.replace_layer(folder / "content", diff)
