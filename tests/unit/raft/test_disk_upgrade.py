"""What the version with one manager left is taken over whole, and a lost majority is left behind."""

import sqlite3
from pathlib import Path

import pytest

from covey import errors
from manager.raft.entry import Entry, EntryKind, HardState, Member, Membership, SnapshotMark, Stored
from manager.raft.io.journal import Write
from manager.raft.io.recovery import rewrite_membership
from manager.raft.io.state import open_files, read
from manager.raft.membership import decode_membership, encode_membership
from tests.support import format_one

OLD = 30
ME = Member(0, "node1", "10.0.0.1:2377")


def load(directory: Path, upgrade: Member | None = None) -> Stored:
    files = open_files(directory, "c1", None, upgrade)
    try:
        return read(files.journal, files.snapshots)
    finally:
        files.close()


def sql(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as db:
        db.execute(statement)
    db.close()


# --- the upgrade ---


def test_a_format_one_state_is_taken_over(tmp_path: Path) -> None:
    format_one.write(tmp_path, "c1", OLD)
    assert (tmp_path / "log.db-wal").exists(), "as a kill leaves it"
    stored = load(tmp_path, ME)
    member = Member(stored.id, "node1", "10.0.0.1:2377", True)
    assert stored.hard_state == HardState(1, stored.id, OLD + 1)
    assert stored.kept_after == SnapshotMark(10, 1)
    assert stored.snapshot == SnapshotMark(20, 1, Membership((member,)))
    *data, last = stored.entries
    assert data == [Entry(place, 1, EntryKind.DATA, format_one.data(place)) for place in range(11, OLD + 1)]
    assert (last.index, last.term, last.kind) == (OLD + 1, 1, EntryKind.MEMBERSHIP)
    assert decode_membership(last.data) == Membership((member,))
    files = open_files(tmp_path, "c1")
    found = files.snapshots.newest()
    assert found is not None
    assert list(found.chunks) == format_one.chunks(20)
    files.close()
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["key", "log.db", f"snapshots/{10:020}.snapshot", f"snapshots/{20:020}.snapshot"]
    assert not [name for name in left if b"secretsecret" in (tmp_path / name).read_bytes()]
    assert load(tmp_path, ME) == stored, "and that is that"
    assert load(tmp_path) == stored


def test_a_format_one_state_without_snapshots_is_taken_over(tmp_path: Path) -> None:
    format_one.write(tmp_path, "c1", OLD, snapshots=())
    stored = load(tmp_path, ME)
    assert (stored.snapshot, stored.kept_after) == (SnapshotMark(), SnapshotMark())
    assert [entry.index for entry in stored.entries] == list(range(1, OLD + 2))


def test_an_empty_format_one_state_is_taken_over(tmp_path: Path) -> None:
    format_one.write(tmp_path, "c1", 0, snapshots=())
    stored = load(tmp_path, ME)
    assert [entry.kind for entry in stored.entries] == [EntryKind.MEMBERSHIP]


def test_a_format_one_state_that_ends_with_its_snapshot_is_taken_over(tmp_path: Path) -> None:
    format_one.write(tmp_path, "c1", OLD, snapshots=(OLD, OLD))
    stored = load(tmp_path, ME)
    assert (stored.kept_after, stored.snapshot.index) == (SnapshotMark(OLD, 1), OLD)
    assert [entry.kind for entry in stored.entries] == [EntryKind.MEMBERSHIP]
    format_one.snapshot(tmp_path / "other.snap", "c1", 1, [])  # not where snapshots are: none of our business
    assert load(tmp_path) == stored


def test_an_upgrade_asks_who_this_is(tmp_path: Path) -> None:
    format_one.write(tmp_path, "c1", OLD)
    with pytest.raises(errors.FailedPrecondition, match="written by a version with one manager"):
        load(tmp_path)
    load(tmp_path, ME)


def test_an_upgrade_of_another_clusters_log_is_refused(tmp_path: Path) -> None:
    format_one.write(tmp_path, "c2", OLD)
    with pytest.raises(errors.FailedPrecondition, match="belongs to cluster c2, and this node to c1"):
        load(tmp_path, ME)


@pytest.mark.parametrize(
    "damage",
    ["UPDATE entry SET data = x'00' WHERE place = 12", "DELETE FROM entry WHERE place = 12"],
)
def test_a_damaged_entry_stops_the_upgrade_and_nothing_is_changed(tmp_path: Path, damage: str) -> None:
    format_one.write(tmp_path, "c1", OLD)
    sql(tmp_path / "log.db", damage)
    for _ in range(2):
        with pytest.raises(errors.Corrupt, match=r"entry 12 of the log .* is damaged; restore"):
            load(tmp_path, ME)
    assert len(list((tmp_path / "snapshots").glob("*.snap"))) == 2


def test_a_damaged_snapshot_is_put_aside_and_the_one_before_is_taken_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    format_one.write(tmp_path, "c1", OLD)
    newest = tmp_path / "snapshots" / f"{20:020}.snap"
    newest.write_bytes(newest.read_bytes()[:-40])
    stored = load(tmp_path, ME)
    assert (stored.snapshot.index, stored.kept_after.index) == (10, 10)
    assert f"{newest} is damaged" in caplog.text
    assert newest.with_name(f"{newest.name}.corrupt").exists()


def test_a_format_one_log_that_no_snapshot_reaches_is_an_error(tmp_path: Path) -> None:
    format_one.write(tmp_path, "c1", OLD)
    for path in (tmp_path / "snapshots").glob("*.snap"):
        path.unlink()
    with pytest.raises(errors.Corrupt, match="begins after 10, and no sound snapshot"):
        load(tmp_path, ME)


def test_a_lost_format_one_log_beside_its_snapshots_is_an_error(tmp_path: Path) -> None:
    format_one.write(tmp_path, "c1", OLD)
    for path in tmp_path.glob("log.db*"):
        path.unlink()
    with pytest.raises(errors.Corrupt, match="there is no log"):
        load(tmp_path, ME)
    assert len(list((tmp_path / "snapshots").iterdir())) == 2


def test_what_an_interrupted_upgrade_left_is_made_anew(tmp_path: Path) -> None:
    format_one.write(tmp_path, "c1", OLD)
    (tmp_path / "log.db.new").write_bytes(b"half")
    (tmp_path / "log.db.new-wal").write_bytes(b"half")
    (tmp_path / "snapshots" / f"{20:020}.snapshot").write_bytes(b"of another attempt")
    stored = load(tmp_path, ME)
    assert (stored.snapshot.index, stored.entries[-1].index) == (20, OLD + 1)
    assert not list(tmp_path.glob("log.db.new*"))


# --- one member alone ---


def three(directory: Path, *, removed: tuple[int, ...] = (77,), snapshot: bool = False) -> int:
    """Leave the state of one of three members, with an entry that nobody knows to be committed."""
    files = open_files(directory, "c1")
    own = files.journal.id
    members = (Member(1, "a", "a:1"), Member(2, "b", "b:1"), Member(own, "n", "old:1"))
    data = encode_membership(Membership(members, removed))
    entries = [
        Entry(1, 1, EntryKind.MEMBERSHIP, data),
        Entry(2, 1, EntryKind.DATA, b"x"),
        Entry(3, 4, EntryKind.DATA, b"y"),
    ]
    files.journal.write([Write(HardState(5, 2, 2), entries)])
    if snapshot:
        files.snapshots.save(SnapshotMark(2, 1, Membership(members, removed)), [b"s"])
        files.journal.compact(2)
    files.close()
    return own


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_member_is_made_the_only_one(tmp_path: Path, snapshot: bool) -> None:
    own = three(tmp_path, snapshot=snapshot)
    before = load(tmp_path)
    alone = rewrite_membership(tmp_path, "c1", node_id="n", address="new:1")
    assert alone == Membership((Member(own, "n", "new:1", True),), (1, 2, 77))
    stored = load(tmp_path)
    assert stored.entries == (
        *before.entries,
        Entry(4, 6, EntryKind.MEMBERSHIP, encode_membership(alone)),
    )
    assert stored.hard_state == HardState(6, own, 4), "all it has counts as committed"
    assert rewrite_membership(tmp_path, "c1", node_id="n", address="new:1") == alone
    assert load(tmp_path) == stored, "a second time changes nothing"


def test_a_state_without_a_log_is_not_brought_back(tmp_path: Path) -> None:
    with pytest.raises(errors.FailedPrecondition, match=r"no log in .* that a cluster could be brought back"):
        rewrite_membership(tmp_path / "manager", "c1", node_id="n", address="new:1")
    assert not (tmp_path / "manager").exists()


def test_a_state_in_use_is_not_rewritten(tmp_path: Path) -> None:
    files = open_files(tmp_path, "c1")
    try:
        with pytest.raises(errors.FailedPrecondition, match="is in use"):
            rewrite_membership(tmp_path, "c1", node_id="n", address="new:1")
    finally:
        files.close()


def test_a_format_one_state_is_upgraded_on_the_way(tmp_path: Path) -> None:
    format_one.write(tmp_path, "c1", OLD)
    alone = rewrite_membership(tmp_path, "c1", node_id="n", address="new:1")
    stored = load(tmp_path)
    assert [member.id for member in alone.members] == [stored.id]
    assert stored.entries[-1].index == OLD + 1, "the upgrade says the same already"
