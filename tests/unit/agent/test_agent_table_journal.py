"""Network tables on disk: whole, and the changes after them; a kill in between loses at most the newest."""

import asyncio
from pathlib import Path
from random import Random

import msgspec
from msgspec.structs import replace

from agent.session.tables import apply_delta
from agent.tasks.io.db import Database
from agent.tasks.io.journal import CHANGE, TABLE, TableJournal, put_together
from covey import limits
from covey.model.changes import table_delta
from covey.model.objects import ClusterVersion
from covey.model.tables import EndpointRow, NetworkTable, NetworkTableDelta

ROWS = 3_000


class Disk:
    """Rows as they would be found after a restart, and how many bytes were written."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], msgspec.Struct] = {}
        self.written = 0

    def put(self, kind: str, id: str, value: msgspec.Struct | None) -> None:
        if value is None:
            self.rows.pop((kind, id), None)
            return
        self.rows[kind, id] = value
        self.written += len(msgspec.msgpack.encode(value))

    def of(self, kind: str) -> dict[str, msgspec.Struct]:
        return {id: value for (each, id), value in self.rows.items() if each == kind}

    def found(self) -> dict[str, NetworkTable]:
        tables = {id: msgspec.convert(value, NetworkTable) for id, value in self.of(TABLE).items()}
        changes = {id: msgspec.convert(value, NetworkTableDelta) for id, value in self.of(CHANGE).items()}
        return put_together(tables, changes)


def table(rows: int, index: int = 1) -> NetworkTable:
    endpoints = tuple(EndpointRow(endpoint_id=f"e{n:06}", number=n) for n in range(rows))
    return NetworkTable("net", ClusterVersion(1, index), endpoints)


def changed(dice: Random, old: NetworkTable) -> tuple[NetworkTable, NetworkTableDelta]:
    rows = {row.endpoint_id: row for row in old.endpoints}
    id = f"e{dice.randrange(ROWS):06}"
    if rows.pop(id, None) is None or dice.random() < 0.7:
        rows[id] = EndpointRow(endpoint_id=id, number=dice.randrange(1000))
    version = ClusterVersion(1, old.version.index + dice.randrange(1, 3))
    new = replace(old, version=version, endpoints=tuple(rows[each] for each in sorted(rows)))
    delta = table_delta(old, new)
    return apply_delta(old, delta), delta


def test_what_is_found_is_what_was_used_last_whenever_the_agent_ends() -> None:
    dice, disk = Random(1), Disk()
    journal, now = TableJournal(disk), table(ROWS)
    journal.use(now, None)
    for turn in range(1_500):
        now, delta = changed(dice, now)
        journal.use(now, delta)
        if turn % 50 == 0:
            assert disk.found() == {"net": now}
            assert len(disk.of(CHANGE)) <= max(limits.table_journal_rows_min, ROWS // 4)
        if dice.random() < 0.01:
            journal = TableJournal(disk, disk.of(CHANGE))  # another agent
    journal.drop("net")
    assert disk.rows == {}


def test_a_changed_row_costs_what_it_is_and_not_what_the_table_is() -> None:
    dice, disk = Random(2), Disk()
    journal, now = TableJournal(disk), table(ROWS)
    journal.use(now, None)
    whole, disk.written = disk.written, 0
    for _ in range(600):
        now, delta = changed(dice, now)
        journal.use(now, delta)
    assert disk.written < 2 * whole, "the table once more, and 600 rows"


def test_changes_that_follow_nothing_on_disk_are_left_out() -> None:
    old = table(10)
    new, delta = changed(Random(3), old)
    assert put_together({}, {"net 1": delta}) == {}
    assert put_together({"net": new}, {"net 1": delta}) == {"net": new}


def test_the_database_finds_them(tmp_path: Path) -> None:
    dice, now = Random(4), table(ROWS)

    async def use() -> NetworkTable:
        database, last = Database(tmp_path / "tasks.db", "c1"), now
        database.load()
        database.tables.use(last, None)
        for _ in range(20):
            last, delta = changed(dice, last)
            database.tables.use(last, delta)
        await database.close()
        return last

    async def find() -> dict[str, NetworkTable]:
        database = Database(tmp_path / "tasks.db", "c1")
        stored = database.load()
        await database.close()
        return stored.tables

    last = asyncio.run(use())
    assert asyncio.run(find()) == {"net": last}
