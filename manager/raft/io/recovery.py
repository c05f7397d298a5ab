"""Brings back one member alone, when the majority is lost for good. Offline, on the files."""

from pathlib import Path

import msgspec

from covey import errors

from ..entry import Entry, EntryKind, HardState, Member, Membership
from ..membership import decode_membership, encode_membership
from .database import probe
from .journal import Journal, Write
from .keys import DataKey
from .snapshots import Snapshots
from .state import open_files


def rewrite_membership(
    directory: Path, cluster_id: str, *, node_id: str, address: str, key: DataKey | None = None
) -> Membership:
    """Make this member the only one, and everything in its log committed; give the new membership.

    Appends an entry that says so, in a term of its own, with our vote in it, in one transaction: the member
    leads as soon as it starts. It keeps its Raft id; all others count as removed and can never come back under
    theirs. What the lost majority had committed and this member never received is lost: that is the price,
    and why a person must ask for it. To be called with the manager stopped; doing it twice changes nothing.

    Raises `FailedPrecondition` if there is no log to bring back, and as opening the disk does.
    """
    if probe(directory / "log.db", cluster_id) is None:
        raise errors.FailedPrecondition(
            f"there is no log in {directory} that a cluster could be brought back from; use another manager's, or "
            "restore a backup"
        )
    files = open_files(directory, cluster_id, key, Member(0, node_id, address))
    try:
        return _rewrite(files.journal, files.snapshots, node_id, address)
    finally:
        files.close()


def _rewrite(journal: Journal, snapshots: Snapshots, node_id: str, address: str) -> Membership:
    state = journal.state
    newest, former = None, Membership()
    for entry in journal.entries():
        newest = entry
        if entry.kind is EntryKind.MEMBERSHIP:
            former = _membership(entry, journal.path)
    snapshot = snapshots.newest(state.kept_index)
    if former == Membership() and snapshot is not None:
        former = snapshot.mark.membership
    others = {member.id for member in former.members} - {journal.id}
    alone = Membership(
        (Member(journal.id, node_id, address),), tuple(sorted({*former.removed, *others} - {journal.id}))
    )
    done = newest is not None and newest.kind is EntryKind.MEMBERSHIP and former == alone
    if done and state.hard_state.commit == state.last_index:
        return alone
    term, index = state.hard_state.term + 1, state.last_index + 1
    entry = Entry(index, term, EntryKind.MEMBERSHIP, encode_membership(alone))
    journal.write([Write(HardState(term, journal.id, index), [entry])])
    journal.checkpoint()
    return alone


def _membership(entry: Entry, path: Path) -> Membership:
    try:
        return decode_membership(entry.data)
    except msgspec.DecodeError as error:
        raise errors.Corrupt(
            f"entry {entry.index} of the log {path} is no membership this version can read ({error}); run the version "
            "that wrote it"
        ) from error
