"""The image store in memory keeps the contract."""

import asyncio

import pytest

from agent.images.fake import FakeImages
from agent.images.seam import ImageConfig, LocalImage
from tests.support.images_contract import SCENES, Scene


class FakeBed:
    web = "registry.test/web:1"

    def __init__(self) -> None:
        self.images = FakeImages({self.web: LocalImage("one", ("/layer",), ImageConfig(cmd=("sh",)))})

    def named(self, name: str) -> str:
        return f"registry.test/{name}"

    def stop_registry(self) -> None:
        self.images.reachable = False

    def pulls(self) -> int:
        return len(self.images.pulls)


@pytest.mark.parametrize("play", SCENES, ids=lambda each: each.__name__)
def test_contract(play: Scene) -> None:
    async def main() -> None:
        await play(FakeBed())

    asyncio.run(main())
