"""Builds in memory."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from typing_extensions import override

from runtime.drivers import BuildDriver, OnOutput
from runtime.testing.faults import Faults
from runtime.testing.images import FakeImages
from runtime.types import BuildConfig, ImageFacts


@dataclass(slots=True, kw_only=True)
class FakeBuilds(Faults, BuildDriver):
    """Keeps the promises of :class:`BuildDriver`: every Dockerfile makes an image of its text."""

    images: FakeImages
    configs: list[BuildConfig] = field(default_factory=list)

    @override
    async def build(
        self, config: BuildConfig, context: AsyncIterator[bytes], output: OnOutput
    ) -> ImageFacts:
        await self.change("build", config.names[0])
        async for _ in context:
            pass
        self.configs.append(config)
        await output(b"built\n")
        return self.images.add(config.names[0])

    @override
    async def prune(self) -> int:
        await self.change("prune")
        return 0
