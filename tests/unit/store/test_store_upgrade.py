"""A store goes on with what the version with one manager left."""

import asyncio
from pathlib import Path

import pytest

from covey.model.objects import Task
from manager.store import entry, snapshot
from manager.store.draft import Draft
from manager.store.tables import Tables
from manager.store.transaction import Commit
from tests.support import format_one
from tests.support.store_alone import open_alone


@pytest.mark.parametrize("snapshots", [(), (10, 20), (30, 30)])
def test_a_store_of_one_manager_is_taken_over(tmp_path: Path, snapshots: tuple[int, ...]) -> None:
    tables, entries, chunks = Tables(), dict[int, bytes](), dict[int, list[bytes]]()
    for index in range(1, 31):
        draft = Draft(tables)
        draft.put(Task(id=f"t{index:04}", service_id="s"))
        if index > 7:
            draft.delete(Task, f"t{index - 7:04}")
        transaction = draft.transaction()
        entries[index] = entry.encode(entry.Entry(transaction, 1_000 + index, index))
        assert isinstance(tables.apply(transaction, index, 1_000 + index), Commit)
        chunks[index] = list(snapshot.encode(tables.objects()))
    tasks = list(tables.all(Task))
    format_one.write(
        tmp_path / "manager",
        "c1",
        30,
        snapshots=snapshots,
        data=entries.__getitem__,
        chunks=chunks.__getitem__,
    )

    async def test() -> None:
        for n in range(3):
            store = await open_alone(tmp_path, "c1")
            try:
                assert list(store.all(Task)) == tasks
                await store.update(lambda draft, n=n: draft.put(Task(id=f"u{n}")))  # type: ignore[misc]
                tasks.append(list(store.all(Task))[-1])
                await store.save_snapshot()
            finally:
                await store.close()

    asyncio.run(test())
