"""What every make of the image seam must do. A bed's registry holds `web:1` (with `Cmd` `["sh"]`)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import pytest

from agent.images.seam import Images
from covey.errors import InvalidArgument, NotFound, Unavailable


class Bed(Protocol):
    images: Images
    web: str

    def named(self, name: str) -> str:
        """A full reference to `name` in the bed's registry."""

    def stop_registry(self) -> None: ...

    def pulls(self) -> int:
        """How many pulls reached the registry."""


Scene = Callable[[Bed], Awaitable[None]]
SCENES: list[Scene] = []


def scene(function: Scene) -> Scene:
    SCENES.append(function)
    return function


@scene
async def an_image_comes_with_its_layers_and_settings(bed: Bed) -> None:
    image = await bed.images.ensure(bed.web)
    assert image.id
    assert image.layers
    assert image.config.cmd == ("sh",)


@scene
async def what_is_here_needs_no_registry(bed: Bed) -> None:
    image = await bed.images.ensure(bed.web)
    bed.stop_registry()
    assert await bed.images.ensure(bed.web) == image
    with pytest.raises(Unavailable, match="other"):
        await bed.images.ensure(bed.named("other:1"))


@scene
async def many_who_ask_share_one_pull(bed: Bed) -> None:
    found = await asyncio.gather(*(bed.images.ensure(bed.web) for _ in range(8)))
    assert len({image.id for image in found}) == 1
    assert bed.pulls() == 1


@scene
async def what_does_not_exist_is_named(bed: Bed) -> None:
    with pytest.raises(NotFound, match="nothing:9"):
        await bed.images.ensure(bed.named("nothing:9"))


@scene
async def a_malformed_reference_is_refused(bed: Bed) -> None:
    with pytest.raises(InvalidArgument, match="UPPER"):
        await bed.images.ensure("UPPER/../case")


@scene
async def unused_images_go_and_used_ones_stay(bed: Bed) -> None:
    image = await bed.images.ensure(bed.web)
    assert await bed.images.remove_unused([image.id]) == []
    assert await bed.images.remove_unused([]) == [image.id]
    assert await bed.images.remove_unused([]) == []
    assert (await bed.images.ensure(bed.web)).id == image.id
    assert bed.pulls() == 2
