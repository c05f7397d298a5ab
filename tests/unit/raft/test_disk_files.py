"""The files on disk: who may open them, what is found when they are damaged, and that nothing is readable."""

import asyncio
import contextlib
import logging
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from random import Random

import pytest

from covey import errors, limits
from covey.errors import LogFailed
from manager.raft.entry import Entry, EntryKind, HardState, Member, Membership, SnapshotMark, Stored
from manager.raft.io.disk import SqliteDisk
from manager.raft.io.journal import Journal, Write
from manager.raft.io.keys import DataKey, KeyFile
from manager.raft.io.snapshots import Snapshots
from manager.raft.io.state import open_files, read

KEY = DataKey(bytes(range(32)))
REMEDY = r"let this manager join again as a new member, while the others have a majority; else restore"
SECRET = b"correct horse battery staple"


def run(test: Awaitable[object]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test

    asyncio.run(bounded())


def entries(first: int, last: int, term: int = 1, data: bytes = b"x") -> list[Entry]:
    return [Entry(index, term, data=data + b"%d" % index) for index in range(first, last + 1)]


async def fill(directory: Path, *, snapshots: bool = True, size: int = 10) -> Stored:
    """Write 40 entries, and two snapshots."""
    disk = await SqliteDisk.open(directory, "c1")
    try:
        await disk.write(HardState(1, 7, 0), entries(1, 20, data=b"y" * size))
        await disk.write(HardState(2, 7, 20), entries(21, 40, term=2, data=b"z" * size))
        if snapshots:
            for index, term in ((15, 1), (30, 2)):
                await disk.save_snapshot(SnapshotMark(index, term), [b"chunk" * size, b"%d" % index])
            await disk.compact(20)
        return await disk.load()
    finally:
        await disk.close()


def load(directory: Path) -> Stored:
    files = open_files(directory, "c1")
    try:
        return read(files.journal, files.snapshots)
    finally:
        files.close()


def flip(path: Path, place: int, bit: int = 0x10) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= bit
    path.write_bytes(bytes(data))


def sql(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as db:
        db.execute(statement)
    db.close()


# --- settings and owners ---


def test_the_journal_syncs_every_commit(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log.db", "c1", KEY)
    try:
        settings = {name: journal.database.execute(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS}
    finally:
        journal.close()
    assert settings == PRAGMAS


PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "locking_mode": "exclusive", "wal_autocheckpoint": 0}


def test_the_files_are_ours_alone(tmp_path: Path) -> None:
    run(fill(tmp_path / "manager"))
    for path in [tmp_path / "manager", *(tmp_path / "manager").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_another_clusters_log_is_refused(tmp_path: Path) -> None:
    open_files(tmp_path, "c1").close()
    with pytest.raises(errors.FailedPrecondition, match="belongs to cluster c1, and this node to c2"):
        open_files(tmp_path, "c2")


def test_a_newer_log_is_refused(tmp_path: Path) -> None:
    open_files(tmp_path, "c1").close()
    sql(tmp_path / "log.db", "UPDATE meta SET value = 3 WHERE key = 'format'")
    with pytest.raises(errors.FailedPrecondition, match="has format 3, and this version reads 2"):
        open_files(tmp_path, "c1")


def test_a_foreign_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    sql(tmp_path / "log.db", "CREATE TABLE songs (title)")
    before = (tmp_path / "log.db").read_bytes()
    with pytest.raises(errors.FailedPrecondition, match="not a log of Covey"):
        open_files(tmp_path, "c1")
    assert (tmp_path / "log.db").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["log.db"], "no key is drawn for it"


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"hello" * 1000)
    with pytest.raises(errors.Corrupt, match=rf"log\.db is damaged .*{REMEDY}"):
        open_files(tmp_path, "c1")


def test_a_second_manager_on_the_same_state_is_refused(tmp_path: Path) -> None:
    files = open_files(tmp_path, "c1")
    try:
        with pytest.raises(errors.FailedPrecondition, match="another manager runs on this state; stop it"):
            open_files(tmp_path, "c1")
        files.lock.release()  # an older version takes no such lock, but sqlite's
        with pytest.raises(errors.FailedPrecondition, match="another manager runs on this state; stop it"):
            open_files(tmp_path, "c1")
    finally:
        files.journal.close()
    open_files(tmp_path, "c1").close()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.Unavailable, match="cannot write"):
        open_files(tmp_path / "file" / "manager", "c1")


# --- the key ---


def test_nothing_is_readable_on_disk(tmp_path: Path) -> None:
    async def test() -> None:
        disk = await SqliteDisk.open(tmp_path, "c1")
        await disk.write(HardState(1), entries(1, 50, data=SECRET))
        await disk.save_snapshot(SnapshotMark(50, 1), [b"..." + SECRET, SECRET * 100])
        assert find(tmp_path, b"COVEYSNP"), "the search works"
        assert not find(tmp_path, SECRET[:12]), "neither in the log nor in what is written ahead of it"
        assert (tmp_path / "log.db-wal").stat().st_size > 50 * len(SECRET)
        await disk.close()
        assert not find(tmp_path, SECRET[:12])

    run(test())


def find(directory: Path, text: bytes) -> list[str]:
    return [path.name for path in directory.rglob("*") if path.is_file() and text in path.read_bytes()]


def test_equal_entries_look_different(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log.db", "c1", KEY)
    journal.write([Write(None, [Entry(index, 1, data=SECRET) for index in range(1, 9)])])
    sealed = {row[0] for row in journal.database.execute("SELECT sealed FROM entry")}
    assert len(sealed) == 8
    journal.close()
    journal = Journal(tmp_path / "log.db", "c1", KEY)
    journal.write([Write(None, [Entry(index, 1, data=SECRET) for index in range(1, 9)])])
    sealed |= {row[0] for row in journal.database.execute("SELECT sealed FROM entry")}
    assert len(sealed) == 16, "nor does a restart repeat anything"
    journal.close()


def test_a_missing_key_is_said_and_no_other_is_drawn(tmp_path: Path) -> None:
    run(fill(tmp_path))
    (tmp_path / "key").rename(tmp_path / "elsewhere")
    with pytest.raises(
        errors.FailedPrecondition, match=rf"key .* is missing.* put the key back, or .*{REMEDY}"
    ):
        load(tmp_path)
    assert not (tmp_path / "key").exists()
    (tmp_path / "elsewhere").rename(tmp_path / "key")
    load(tmp_path)


def test_a_wrong_key_is_said(tmp_path: Path) -> None:
    run(fill(tmp_path))
    KeyFile(tmp_path / "key").create()
    with pytest.raises(errors.FailedPrecondition, match=r"log\.db is encrypted with another key"):
        load(tmp_path)


def test_a_key_without_a_log_is_used(tmp_path: Path) -> None:
    """A crash between drawing the key and making the log leaves that."""
    fingerprint = KeyFile(tmp_path / "key").create().fingerprint
    (tmp_path / "log.db").write_bytes(b"")
    load(tmp_path)
    assert KeyFile(tmp_path / "key").key().fingerprint == fingerprint


# --- damage to the log ---


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ("UPDATE entry SET sealed = x'00' WHERE place = 22", "entry 22"),
        ("DELETE FROM entry WHERE place = 22", "entry 22"),
        ("DELETE FROM entry WHERE place = 40", "what follows entry 39"),
        ("DELETE FROM entry WHERE place = 16", "entry 16"),
        ("UPDATE entry SET term = 3 WHERE place = 22", "entry 22"),
        ("UPDATE entry SET term = -3 WHERE place = 22", "entry 22"),
        ("UPDATE entry SET term = 'x' WHERE place = 22", "entry 22"),
        ("UPDATE entry SET kind = 0 WHERE place = 22", "entry 22"),
        ("UPDATE entry SET kind = 99 WHERE place = 22", "entry 22"),
        ("UPDATE entry SET number = number + 1 WHERE place = 22", "entry 22"),
        ("UPDATE entry SET session = 77 WHERE place = 22", "session 77"),
        (
            "UPDATE entry SET sealed = (SELECT sealed FROM entry WHERE place = 23), "
            "number = (SELECT number FROM entry WHERE place = 23) WHERE place = 22",
            "entry 22",
        ),
        ("INSERT INTO entry SELECT 41, term, kind, session, number, sealed FROM entry WHERE place = 40", "entry 41"),
        ("UPDATE state SET sealed = x'00'", "its state"),
        ("UPDATE state SET number = 0", "its state"),
        ("DELETE FROM state", "its state"),
        ("UPDATE meta SET value = 5 WHERE key = 'id'", "its state"),
        ("UPDATE session SET salt = zeroblob(32)", "its state"),
        ("DELETE FROM session", "session 1"),
    ],
)  # fmt: skip
def test_a_damaged_log_is_named(tmp_path: Path, damage: str, what: str) -> None:
    run(fill(tmp_path))
    sql(tmp_path / "log.db", damage)
    with pytest.raises(errors.Corrupt, match=rf"the log .*log\.db is damaged: {what} is not .*{REMEDY}"):
        load(tmp_path)


def test_any_flipped_byte_of_the_log_is_found_or_without_effect(tmp_path: Path) -> None:
    """sqlite's pages have no checksums: what we read must be what we wrote, or be refused."""
    right = run_fill(tmp_path / "right")
    size = (tmp_path / "right" / "log.db").stat().st_size
    dice, found = Random(5), 0
    for place in sorted(dice.choices(range(size), k=150)):
        shutil.copytree(tmp_path / "right", tmp_path / "wrong")
        flip(tmp_path / "wrong" / "log.db", place, 1 << dice.randrange(8))
        try:
            assert load(tmp_path / "wrong") == right, place
        except (errors.Corrupt, errors.FailedPrecondition, LogFailed) as error:
            found += "log.db" in str(error)
        shutil.rmtree(tmp_path / "wrong")
    assert found > 30, "much of the file matters"


def run_fill(directory: Path) -> Stored:
    return asyncio.run(fill(directory, size=400))


FRAME_BYTES = 24 + 4096


def killed(directory: Path, writes: int) -> list[int]:
    """Leave a log as a kill does, one transaction for each entry; give the sizes of its write-ahead file."""
    journal = Journal(directory / "log.db", "c1", KeyFile(directory / "key").create())
    ahead, sizes = directory / "log.db-wal", list[int]()
    for index in range(1, writes + 1):
        journal.write([Write(HardState(1, 0, index), [Entry(index, 1, data=b"x" * 3000)])])
        sizes.append(ahead.stat().st_size)
    left = {path: path.read_bytes() for path in directory.glob("log.db*")}
    journal.close()
    for path, content in left.items():
        path.write_bytes(content)
    return sizes


def test_any_flipped_byte_of_what_is_written_ahead_is_found(tmp_path: Path) -> None:
    """Or it is where it might as well have been torn by the crash: see `wal.py`."""
    right = tmp_path / "right"
    right.mkdir()
    sizes = killed(right, 20)
    whole = read_of(right)
    assert len(whole.entries) == 20
    dice = Random(7)
    places = [*range(0, 32, 3), *range(32, 56, 3), *(dice.randrange(sizes[-1]) for _ in range(60))]
    for place in places:
        shutil.copytree(right, tmp_path / "wrong")
        flip(tmp_path / "wrong" / "log.db-wal", place, 1 << dice.randrange(8))
        try:
            stored = load(tmp_path / "wrong")
        except errors.Corrupt as error:
            assert "log.db-wal of the log is damaged" in str(error), place  # noqa: PT017
        else:
            assert place >= sizes[-2] - FRAME_BYTES or stored == whole, place
            assert stored.entries == whole.entries[: len(stored.entries)], place
            assert len(stored.entries) >= (19 if place >= sizes[-2] else 18), place
        shutil.rmtree(tmp_path / "wrong")


def read_of(directory: Path) -> Stored:
    """Load a copy, so that what is there stays as it is."""
    shutil.copytree(directory, directory.with_name("copy"))
    return load(directory.with_name("copy"))


def test_a_torn_end_of_what_is_written_ahead_is_no_damage(tmp_path: Path) -> None:
    right = tmp_path / "right"
    right.mkdir()
    sizes = killed(right, 12)
    for size in [*sizes, *(size - 100 for size in sizes), 0, 10, 40]:
        shutil.copytree(right, tmp_path / "torn")
        os.truncate(tmp_path / "torn" / "log.db-wal", size)
        whole = sum(end <= size for end in sizes)
        if whole:
            assert len(load(tmp_path / "torn").entries) == whole
        shutil.rmtree(tmp_path / "torn")


def test_the_hard_state_goes_with_its_entries(tmp_path: Path) -> None:
    """A write that is refused leaves neither."""

    async def test() -> None:
        disk = await SqliteDisk.open(tmp_path, "c1")
        await disk.write(HardState(1), entries(1, 3))
        disk._journal.database.execute(
            "CREATE TEMP TRIGGER refuse BEFORE INSERT ON main.entry WHEN new.place = 5 "
            "BEGIN SELECT raise(ABORT, 'planted'); END"
        )
        with pytest.raises(LogFailed, match="planted"):
            await disk.write(HardState(2), entries(4, 6))
        with pytest.raises(LogFailed, match="restart the manager"):
            await disk.write(HardState(3), [])
        await disk.close()

    run(test())
    stored = load(tmp_path)
    assert (stored.hard_state, stored.entries) == (HardState(1), tuple(entries(1, 3)))


def test_old_sessions_are_forgotten_with_their_entries(tmp_path: Path) -> None:
    async def test() -> None:
        for n in range(6):
            disk = await SqliteDisk.open(tmp_path, "c1")
            await disk.write(HardState(1), entries(n * 10 + 1, n * 10 + 10))
            await disk.save_snapshot(SnapshotMark(n * 10 + 10, 1), [b"s"])
            await disk.compact(n * 10 + 10)
            sessions = disk._journal.database.execute("SELECT count(*) FROM session").fetchone()[0]
            await disk.close()
        assert sessions == 1, "all that is kept was written in this run"

    run(test())
    assert load(tmp_path).entries == tuple(entries(51, 60))


# --- damage to snapshots ---


def write(snapshots: Snapshots, index: int, *chunks: bytes) -> Path:
    snapshots.save(SnapshotMark(index, 1, Membership((Member(7),))), chunks)
    return snapshots.directory / f"{index:020}.snapshot"


@pytest.mark.parametrize("place", [*range(0, 180, 9), 190, 230, 300, 330, -280, -100, -33, -17, -2, -1])
def test_any_flipped_byte_of_a_snapshot_is_found(tmp_path: Path, place: int) -> None:
    snapshots = Snapshots(tmp_path, "c1", KEY)
    path = write(snapshots, 7, b"x" * 200, b"y" * 10)
    assert snapshots.newest() is not None
    flip(path, place)
    assert Snapshots(tmp_path, "c1", KEY).newest() is None
    assert path.with_name(f"{path.name}.corrupt").exists()


def test_a_snapshot_cut_anywhere_is_found(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, "c1", KEY)
    whole = write(snapshots, 7, b"x" * 50, b"y" * 10, b"").read_bytes()
    for size in range(len(whole)):
        path = tmp_path / f"{7:020}.snapshot"
        path.write_bytes(whole[:size])
        assert Snapshots(tmp_path, "c1", KEY).newest() is None, size
    (tmp_path / f"{7:020}.snapshot").write_bytes(whole + b"\0")
    assert Snapshots(tmp_path, "c1", KEY).newest() is None
    (tmp_path / f"{7:020}.snapshot").write_bytes(whole)
    assert Snapshots(tmp_path, "c1", KEY).newest() is not None


def frames(path: Path) -> tuple[bytes, list[bytes]]:
    """Cut a snapshot into its beginning and its frames."""
    data = path.read_bytes()
    end = 12 + int.from_bytes(data[8:12]) + 4
    start, cut = data[:end], list[bytes]()
    while end < len(data):
        size = 5 + int.from_bytes(data[end : end + 4])
        cut.append(data[end : end + size])
        end += size
    return start, cut


def test_frames_cannot_be_moved_left_out_or_borrowed(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, "c1", KEY)
    path = write(snapshots, 7, b"one", b"two", b"six")
    start, (one, two, six, end) = frames(path)
    other_start, (other, *_) = frames(write(snapshots, 3, b"one", b"two", b"six"))
    swaps: list[list[bytes]] = [
        [start, two, one, six, end],
        [start, one, two, end],
        [start, one, two, six],
        [start, one, one, two, six, end],
        [start, end],
        [start, other, two, six, end],
        [other_start, one, two, six, end],
        [start, one, two, six, end, end],
    ]
    for swap in swaps:
        path.write_bytes(b"".join(swap))
        found: list[object] = []
        try:
            newest = Snapshots(tmp_path, "c1", KEY).newest(since=7)
            found.append(newest)
        except errors.FailedPrecondition as error:
            assert "at index 3, not of c1 at 7" in str(error)  # noqa: PT017
        assert found in ([], [None])


def test_a_corrupt_snapshot_is_named_and_the_one_before_serves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(fill(tmp_path))
    newest = tmp_path / "snapshots" / f"{30:020}.snapshot"
    flip(newest, -40)
    with caplog.at_level(logging.ERROR):
        stored = load(tmp_path)
    assert f"{newest} is damaged" in caplog.text
    assert newest.with_name(f"{newest.name}.corrupt").exists()
    assert (stored.snapshot.index, stored.kept_after.index) == (15, 15)


def test_a_log_that_no_snapshot_reaches_is_an_error(tmp_path: Path) -> None:
    run(fill(tmp_path))
    for path in (tmp_path / "snapshots").iterdir():
        flip(path, -40)
    with pytest.raises(errors.Corrupt, match=rf"begins after 15, and no sound snapshot .*{REMEDY}"):
        load(tmp_path)


def test_a_lost_log_beside_a_snapshot_is_an_error(tmp_path: Path) -> None:
    run(fill(tmp_path))
    for path in tmp_path.glob("log.db*"):
        path.unlink()
    for _ in range(2):
        with pytest.raises(errors.Corrupt, match=rf"there is no log .*how this manager voted; .*{REMEDY}"):
            load(tmp_path)


def test_a_log_put_back_from_an_older_copy_is_found_by_its_snapshots(tmp_path: Path) -> None:
    run(fill(tmp_path, snapshots=False))
    shutil.copy(tmp_path / "log.db", tmp_path / "copy")

    async def test() -> None:
        disk = await SqliteDisk.open(tmp_path, "c1")
        await disk.write(None, entries(41, 60, term=2))
        await disk.save_snapshot(SnapshotMark(60, 2), [])
        await disk.close()

    run(test())
    shutil.copy(tmp_path / "copy", tmp_path / "log.db")
    with pytest.raises(errors.Corrupt, match=r"newest snapshot is of index 60, and the log .* ends at 40"):
        load(tmp_path)


def test_a_snapshot_of_another_history_is_found(tmp_path: Path) -> None:
    run(fill(tmp_path))
    files = open_files(tmp_path, "c1")
    files.snapshots.save(SnapshotMark(35, 9), [])
    files.close()
    with pytest.raises(
        errors.Corrupt, match=r"entry 35 of the log .* is not the one the newest snapshot is of"
    ):
        load(tmp_path)


def test_a_foreign_snapshot_is_refused(tmp_path: Path) -> None:
    write(Snapshots(tmp_path, "c2", KEY), 7, b"x")
    with pytest.raises(errors.FailedPrecondition, match="is of cluster c2"):
        Snapshots(tmp_path, "c1", KEY).newest()


def test_a_snapshot_with_another_key_is_refused(tmp_path: Path) -> None:
    write(Snapshots(tmp_path, "c1", DataKey(bytes(32))), 7, b"x")
    with pytest.raises(errors.FailedPrecondition, match="encrypted with another key"):
        Snapshots(tmp_path, "c1", KEY).newest()


def test_a_newer_snapshot_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manager.raft.io.snapshots.FORMAT", 3)
    write(Snapshots(tmp_path, "c1", KEY), 7, b"x")
    monkeypatch.undo()
    with pytest.raises(errors.FailedPrecondition, match="has format 3, and this version reads 2"):
        Snapshots(tmp_path, "c1", KEY).newest()


def test_half_a_snapshot_is_swept(tmp_path: Path) -> None:
    (tmp_path / "5.tmp").write_bytes(b"half")
    assert Snapshots(tmp_path, "c1", KEY).newest() is None
    assert not list(tmp_path.iterdir())


def test_damage_that_comes_while_a_snapshot_is_read_is_said(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, "c1", KEY)
    path = write(snapshots, 7, b"x" * 200, b"y" * 10)
    found = snapshots.newest()
    assert found is not None
    flip(path, -60)
    with pytest.raises(errors.Corrupt, match="is damaged: frame"):
        list(found.chunks)
    assert snapshots.newest() is None, "it is not trusted a second time"


# --- what stops the disk ---


def test_a_directory_that_cannot_be_synced_stops_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: Path) -> None:
        raise OSError(5, "Input/output error")

    async def test() -> None:
        disk = await SqliteDisk.open(tmp_path, "c1")
        await disk.write(None, entries(1, 3))
        monkeypatch.setattr("manager.raft.io.snapshots.sync_directory", failing)
        with pytest.raises(LogFailed, match=r"cannot make the name of .* durable"):
            await disk.save_snapshot(SnapshotMark(3, 1), [])
        for call in (disk.write(HardState(2), []), disk.compact(1), disk.load()):
            with pytest.raises(LogFailed, match="restart the manager"):
                await call  # type: ignore[misc]
        await disk.close()

    run(test())


def test_an_installation_that_fails_half_way_is_finished_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def leaders() -> AsyncIterator[bytes]:
        yield b"the leader's"

    def failing(self: Snapshots, index: int) -> None:
        raise OSError(5, "Input/output error")

    async def test() -> None:
        mark = SnapshotMark(50, 4)
        disk = await SqliteDisk.open(tmp_path, "c1")
        await disk.write(HardState(3, 7), entries(1, 9))
        await disk.stage_snapshot(mark, leaders())
        with monkeypatch.context() as patched:
            patched.setattr(Snapshots, "promote", failing)
            with pytest.raises(LogFailed, match="restart the manager: it finishes that"):
                await disk.install_snapshot(mark, HardState(4))
            with pytest.raises(LogFailed, match="restart the manager"):
                await disk.write(HardState(5), [])
        await disk.close()
        disk = await SqliteDisk.open(tmp_path, "c1")
        stored = await disk.load()
        assert (stored.hard_state, stored.snapshot, stored.entries) == (HardState(4), mark, ())
        found = await disk.newest_snapshot()
        assert found is not None
        assert list(found.chunks) == [b"the leader's"]
        await disk.close()

    run(test())


def test_what_continues_a_refused_write_is_refused_like_it(tmp_path: Path) -> None:
    async def test() -> None:
        disk = await SqliteDisk.open(tmp_path, "c1")
        await disk.write(HardState(1), entries(1, 3))
        pages = disk._journal.database.execute("PRAGMA page_count").fetchone()[0]
        disk._journal.database.execute(f"PRAGMA max_page_count = {pages}")
        large = limits.log_group_bytes_max  # so that the writes share no transaction
        outcomes = await asyncio.gather(
            disk.write(HardState(2), [Entry(4, 2, data=bytes(large))]),
            disk.write(None, [Entry(5, 2, data=b"x")]),
            disk.write(None, [Entry(6, 2, EntryKind.NOTHING)]),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [errors.ResourceExhausted] * 3
        stored = await disk.load()
        assert (stored.hard_state, len(stored.entries)) == (HardState(1), 3)
        disk._journal.database.execute("PRAGMA max_page_count = 1000000")
        await disk.write(HardState(2), entries(4, 6, term=2))
        assert len((await disk.load()).entries) == 6
        await disk.close()

    run(test())


def test_a_write_whose_writer_gave_up_is_still_written_in_its_place(tmp_path: Path) -> None:
    async def test() -> None:
        disk = await SqliteDisk.open(tmp_path, "c1")
        writes = [asyncio.create_task(disk.write(None, entries(n, n))) for n in range(1, 30)]
        await asyncio.sleep(0)
        writes[3].cancel()
        await asyncio.wait(writes)
        await disk.close()

    run(test())
    assert load(tmp_path).entries == tuple(entries(1, 29))


def test_everything_at_once_leaves_what_was_acknowledged(tmp_path: Path) -> None:
    async def test() -> list[Entry]:
        disk = await SqliteDisk.open(tmp_path, "c1")
        written = list[Entry]()

        async def write() -> None:
            while len(written) < 600:
                batch = entries(len(written) + 1, len(written) + 3)
                await disk.write(HardState(1, 7, len(written)), batch)
                written.extend(batch)

        async def snapshot() -> None:
            while len(written) < 600:
                if index := len(written):
                    await disk.save_snapshot(SnapshotMark(index, 1), [b"%d" % index] * 50)
                    await disk.compact(index - 20)
                await asyncio.sleep(0)

        async def read() -> None:
            while len(written) < 600:
                found = await disk.newest_snapshot()
                if found is not None:
                    index = found.mark.index
                    with contextlib.suppress(
                        errors.Unavailable
                    ):  # forgotten meanwhile: two newer ones are there
                        assert await asyncio.to_thread(list, found.chunks) == [b"%d" % index] * 50
                await disk.load()

        await asyncio.gather(write(), snapshot(), read())
        await disk.close()
        return written

    async def bounded() -> list[Entry]:
        async with asyncio.timeout(60):
            return await test()

    written = asyncio.run(bounded())
    stored = load(tmp_path)
    assert 0 < stored.kept_after.index <= stored.snapshot.index <= 600
    assert stored.entries == tuple(written[stored.kept_after.index :])


def test_staging_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0)

        disk = await SqliteDisk.open(tmp_path, "c1")
        staging = asyncio.create_task(disk.stage_snapshot(SnapshotMark(9, 1), endless()))
        while not list((tmp_path / "snapshots").iterdir()):
            await asyncio.sleep(0.001)
        staging.cancel()
        await asyncio.wait([staging])
        await disk.close()
        assert not list((tmp_path / "snapshots").iterdir())

    run(test())
