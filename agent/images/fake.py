"""An image store in memory: what the registry has is a dictionary, what is here another."""

import asyncio
from collections.abc import Mapping, Sequence

from covey.errors import NotFound, Unavailable
from covey.model.reference import parse
from covey.model.specs import RegistryAuth

from .seam import ImageConfig, LocalImage, Unused


class FakeImages:
    """The image seam over a dictionary of references.

    `registry` maps references to what pulling them gives; `reachable` False plays a registry that does not
    answer (what is here already still is). `pulls` lists what was pulled, in order.
    """

    def __init__(self, registry: Mapping[str, LocalImage] | None = None, *, anything: bool = False) -> None:
        self.registry: dict[str, LocalImage] = dict(registry or {})
        self.anything = anything
        self.reachable = True
        self.here: dict[str, LocalImage] = {}
        self.pulls: list[str] = []

    async def ensure(self, reference: str, auth: RegistryAuth | None = None) -> LocalImage:
        """The image of the dictionary; with `anything`, one is made up for every reference."""
        await asyncio.sleep(0)
        parse(reference)
        if reference in self.here:
            return self.here[reference]
        if not self.reachable:
            raise Unavailable(f"image {reference}: its registry does not answer; check the address")
        found = self.registry.get(reference)
        if found is None and self.anything:
            found = LocalImage(
                f"id-{reference}", (f"/layers/{reference}",), ImageConfig(cmd=("sleep", "3600"))
            )
        if found is None:
            raise NotFound(f"image {reference}: the registry has no such image or tag; check the name")
        self.pulls.append(reference)
        self.here[reference] = found
        return found

    async def remove_unused(self, in_use: Sequence[str]) -> Sequence[str]:
        """Forget all others."""
        gone = [name for name, image in self.here.items() if image.id not in in_use]
        return sorted({self.here.pop(name).id for name in gone})

    async def unused(self, in_use: Sequence[str]) -> Unused:
        """Count all others; they have no size."""
        return Unused(len({each.id for ref, each in self.here.items() if not {ref, each.id} & set(in_use)}))
