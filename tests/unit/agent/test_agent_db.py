import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent.tasks.events import Local
from agent.tasks.io.db import Database, Remembered, Stored
from covey.errors import Corrupt, FailedPrecondition, Unavailable
from covey.model.objects import ClusterVersion, TaskStatus
from covey.model.states import TaskState
from covey.model.tables import NetworkTable
from tests.support.agent_world import NETWORK, endpoint, revision, task


def using(path: Path, body: Callable[[Database], Awaitable[None]]) -> Stored:
    """Run `body` on a database with its writer running, and return what it had found."""

    async def main() -> Stored:
        database = Database(path, "c1")
        stored = database.load()
        writer = asyncio.create_task(database.run())
        try:
            async with asyncio.timeout(30):
                await body(database)
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            await database.close()
        return stored

    return asyncio.run(main())


async def nothing(database: Database) -> None:
    pass


def test_what_was_settled_is_found_again(tmp_path: Path) -> None:
    async def fill(database: Database) -> None:
        database.put("task", "t1", task("t1"))
        database.put("task", "t2", task("t2"))
        database.put("revision", "r1", revision())
        database.put("network", "net", NETWORK)
        database.put("endpoint", "e", endpoint("t1"))
        database.put("local", "t1", Local(TaskStatus(state=TaskState.RUNNING, exit_code=0), "/netns/t1"))
        database.put("table", "net", NetworkTable("net", ClusterVersion(1, 2)))
        database.put("session", "", Remembered(ClusterVersion(1, 2), ("m1",)))
        database.put("task", "t2", None)
        await database.settled(database.ticket)

    path = tmp_path / "agent" / "tasks.db"
    assert using(path, fill).assigned.tasks == ()
    stored = using(path, nothing)
    assert stored.assigned.tasks == (task("t1"),)
    assert stored.assigned.revisions == (revision(),)
    assert stored.assigned.networks == (NETWORK,)
    assert stored.assigned.endpoints == (endpoint("t1"),)
    assert stored.locals["t1"].status.exit_code == 0
    assert stored.tables["net"].version == ClusterVersion(1, 2)
    assert stored.remembered == Remembered(ClusterVersion(1, 2), ("m1",))


def test_a_full_disk_is_said_clearly_and_nothing_is_lost_or_broken(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"

    async def overflow(database: Database) -> None:
        database.put("task", "t0", task("t0"))
        await database.settled(database.ticket)
        used = database._sqlite.execute("PRAGMA page_count").fetchone()[0]
        database._sqlite.execute(f"PRAGMA max_page_count = {used}")
        for n in range(200):
            database.put("task", f"t{n}", task(f"t{n}"))
        with pytest.raises(Unavailable, match=r"tasks\.db \(database or disk is full\).*free space"):
            await database.settled(database.ticket)
        database.put("task", "t0", None)  # newer than what waits to be written
        database._sqlite.execute("PRAGMA max_page_count = 100000")
        await asyncio.sleep(0)
        while True:
            try:
                await database.settled(database.ticket)
                break
            except Unavailable:
                await asyncio.sleep(0.05)

    using(path, overflow)
    assert {t.id for t in using(path, nothing).assigned.tasks} == {f"t{n}" for n in range(1, 200)}


def test_what_is_left_at_the_end_is_written_at_the_close(tmp_path: Path) -> None:
    async def leave(database: Database) -> None:
        database.put("task", "t1", task("t1"))

    using(tmp_path / "tasks.db", leave)
    assert using(tmp_path / "tasks.db", nothing).assigned.tasks == (task("t1"),)


def test_another_clusters_or_versions_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    using(path, nothing)
    with pytest.raises(FailedPrecondition, match=r"cluster c1, this node to c2"):
        Database(path, "c2")
    with sqlite3.connect(path) as sqlite:
        sqlite.execute("UPDATE rows SET body = '9' WHERE id = 'format'")
    sqlite.close()
    with pytest.raises(FailedPrecondition, match="format 9"):
        Database(path, "c1")


@pytest.mark.parametrize("body", [b"\xc1", b"\x81\xa5bogus\x01"])
def test_a_damaged_row_is_named_with_the_remedy(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "tasks.db"
    using(path, nothing)
    with sqlite3.connect(path) as sqlite:
        sqlite.execute("INSERT INTO rows VALUES ('task', 't1', ?)", (body,))
    sqlite.close()
    with pytest.raises(Corrupt, match="move it away"):
        using(path, nothing)


def test_a_file_that_is_no_database_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(Corrupt, match="move it away"):
        Database(path, "c1")
