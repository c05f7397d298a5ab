"""conmon and runc (or crun) keep the runtime's contract, and leave nothing on the host."""

import asyncio
import time

import pytest

from tests.support.container_bed import ContainerBed
from tests.support.runtime_contract import SCENES, Scene

pytestmark = pytest.mark.root


@pytest.mark.parametrize("play", SCENES, ids=lambda each: each.__name__)
def test_contract(play: Scene, bed: ContainerBed) -> None:
    async def main() -> None:
        await bed.runtime.open()
        await play(bed)
        for each in await bed.runtime.list():
            await bed.runtime.remove(each.id)
        await bed.runtime.close()

    asyncio.run(main())
    deadline = time.monotonic() + 10  # conmon ends just after its container
    while bed.traces() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert bed.traces() == []
