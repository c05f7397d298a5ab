"""The files on disk: who may open them, and what is found when they are damaged."""

import asyncio
import logging
import os
import sqlite3
from collections.abc import Awaitable
from pathlib import Path

import pytest

from covey import errors
from covey.model.objects import Task
from manager.store.driver import Store
from manager.store.log.io.journal import Journal
from manager.store.log.io.snapshots import Snapshots
from manager.store.log.io.sqlite import SqliteLog


def run(test: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test

    asyncio.run(bounded())


async def fill(state: Path, tasks: range, *, snapshot: bool = True) -> list[Task]:
    store = await Store.open(state, "c1")
    try:
        for n in tasks:
            await store.update(lambda draft, n=n: draft.put(Task(id=f"t{n:04}")))  # type: ignore[misc]
        if snapshot:
            await store.save_snapshot()
        return list(store.all(Task))
    finally:
        await store.close()


async def read(state: Path) -> list[Task]:
    store = await Store.open(state, "c1")
    try:
        return list(store.all(Task))
    finally:
        await store.close()


def test_the_journal_syncs_every_commit(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log.db", "c1")
    try:
        settings = {name: journal._db.execute(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS}
    finally:
        journal.close()
    assert settings == PRAGMAS
    assert (tmp_path / "log.db").stat().st_mode & 0o077 == 0


PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "locking_mode": "exclusive", "wal_autocheckpoint": 0}


def test_hard_state_and_entries_are_one_transaction(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log.db", "c1")
    journal.append([b"one"], b"term 1")
    journal.append([], b"term 2")
    journal.close()
    journal = Journal(tmp_path / "log.db", "c1")
    assert (journal.last_index, journal.hard_state) == (1, b"term 2")
    journal.close()


def test_another_clusters_log_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "log.db", "c1").close()
    with pytest.raises(errors.FailedPrecondition, match="belongs to cluster c1, and this node to c2"):
        Journal(tmp_path / "log.db", "c2")


def test_a_newer_log_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "log.db", "c1").close()
    with sqlite3.connect(tmp_path / "log.db") as db:
        db.execute("UPDATE meta SET value = 2 WHERE key = 'format'")
    db.close()
    with pytest.raises(errors.FailedPrecondition, match="has format 2, and this version reads 1"):
        Journal(tmp_path / "log.db", "c1")


def test_a_foreign_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "log.db")
    db.execute("CREATE TABLE songs (title)")
    db.close()
    before = (tmp_path / "log.db").read_bytes()
    with pytest.raises(errors.FailedPrecondition, match="not a log of Covey"):
        Journal(tmp_path / "log.db", "c1")
    assert (tmp_path / "log.db").read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"hello" * 1000)
    with pytest.raises(errors.Corrupt, match=r"log\.db is damaged"):
        Journal(tmp_path / "log.db", "c1")


def test_a_second_manager_on_the_same_state_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log.db", "c1")
    try:
        with pytest.raises(errors.FailedPrecondition, match="another manager runs"):
            Journal(tmp_path / "log.db", "c1")
    finally:
        journal.close()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.Unavailable, match="cannot write"):
        Journal(tmp_path / "file" / "log.db", "c1")


@pytest.mark.parametrize(
    "damage", ["UPDATE entry SET data = x'00' WHERE place = 2", "DELETE FROM entry WHERE place = 2"]
)
def test_a_damaged_entry_is_named(tmp_path: Path, damage: str) -> None:
    journal = Journal(tmp_path / "log.db", "c1")
    journal.append([b"one", b"two", b"three"])
    journal.close()
    with sqlite3.connect(tmp_path / "log.db") as db:
        db.execute(damage)
    db.close()
    journal = Journal(tmp_path / "log.db", "c1")
    with pytest.raises(errors.Corrupt, match=r"entry 2 of the log .* is damaged"):
        journal.read(0)
    journal.close()


def test_a_corrupt_snapshot_is_named_and_the_one_before_serves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        await fill(tmp_path, range(5))
        live = await fill(tmp_path, range(5, 9))
        newest = sorted((tmp_path / "manager/snapshots").glob("*.snap"))[-1]
        flip(newest, -40)
        with caplog.at_level(logging.ERROR):
            assert await read(tmp_path) == live
        assert f"{newest} is damaged" in caplog.text
        assert newest.with_name(newest.name + ".corrupt").exists()

    run(test())


@pytest.mark.parametrize("place", [0, 3, 12, 30, 60, -100, -33, -1])
def test_any_flipped_byte_of_a_snapshot_is_found(tmp_path: Path, place: int) -> None:
    snapshots = Snapshots(tmp_path, "c1")
    snapshots.save(7, [b"x" * 200, b"y" * 10])
    flip(tmp_path / f"{7:020}.snap", place)
    assert snapshots.newest() is None


@pytest.mark.parametrize("size", [0, 5, 31, 32, 33, 100])
def test_a_cut_snapshot_is_found(tmp_path: Path, size: int) -> None:
    snapshots = Snapshots(tmp_path, "c1")
    snapshots.save(7, [b"x" * 200])
    os.truncate(tmp_path / f"{7:020}.snap", size)
    assert snapshots.newest() is None


def test_a_foreign_snapshot_is_refused(tmp_path: Path) -> None:
    Snapshots(tmp_path, "c2").save(7, [b"x"])
    with pytest.raises(errors.FailedPrecondition, match="is of cluster c2"):
        Snapshots(tmp_path, "c1").newest()


def test_a_newer_snapshot_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manager.store.log.io.snapshots.FORMAT", 2)
    Snapshots(tmp_path, "c1").save(7, [b"x"])
    monkeypatch.undo()
    with pytest.raises(errors.FailedPrecondition, match="has format 2, and this version reads 1"):
        Snapshots(tmp_path, "c1").newest()


def test_half_a_snapshot_is_swept(tmp_path: Path) -> None:
    (tmp_path / "5.tmp").write_bytes(b"half")
    assert Snapshots(tmp_path, "c1").newest() is None
    assert not list(tmp_path.iterdir())


def test_a_lost_log_beside_a_snapshot_is_an_error(tmp_path: Path) -> None:
    async def test() -> None:
        await fill(tmp_path, range(5))
        for path in (tmp_path / "manager").glob("log.db*"):
            path.unlink()
        with pytest.raises(errors.Corrupt, match="snapshot is of index 5, and the log ends at 0"):
            await read(tmp_path)

    run(test())


def test_a_log_that_no_longer_reaches_back_is_an_error(tmp_path: Path) -> None:
    async def test() -> None:
        await fill(tmp_path, range(5))
        log = await SqliteLog.open(tmp_path / "manager", "c1")
        await log._do(lambda: log._journal.compact(5))
        await log.close()
        for path in (tmp_path / "manager/snapshots").glob("*.snap"):
            flip(path, 40)
        with pytest.raises(errors.Corrupt, match="holds 6 to 5, and not what follows 0"):
            await read(tmp_path)

    run(test())


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(bytes(data))
