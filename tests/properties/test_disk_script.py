"""Whatever a member asks of its disk, the one in memory and the one in files hold the same."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from manager.raft.io.disk import SqliteDisk
from tests.support.disk_script import CLUSTER, carry_out, look, script


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), reopen_at=st.integers(0, 60))
def test_both_makes_hold_the_same(seed: int, reopen_at: int) -> None:
    async def test(directory: Path) -> None:
        operations, views = script(seed, 60)
        disk = await SqliteDisk.open(directory, CLUSTER)
        try:
            for place, operation in enumerate(operations):
                if place == reopen_at:
                    await disk.close()
                    disk = await SqliteDisk.open(directory, CLUSTER)
                    if operation.kind == "install":  # what was staged does not outlive the process
                        await carry_out(disk, operations[place - 1])
                await carry_out(disk, operation)
                assert await look(disk) == views[place + 1], f"after operation {place}"
        finally:
            await disk.close()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(test(Path(directory)))
