"""Opening what a member keeps, and reading it back: the parts in order, held against each other."""

from pathlib import Path

from msgspec import Struct

from covey import errors

from ..entry import Member, SnapshotMark, Stored
from .database import FORMAT, probe
from .files import DirectoryLock, make_directory, refusal, rejoin
from .journal import Journal
from .keys import DataKey, KeyFile
from .snapshots import Snapshots
from .upgrade import convert, sweep


class Files(Struct, frozen=True):
    """What is open. The lock goes last."""

    lock: DirectoryLock
    journal: Journal
    snapshots: Snapshots

    def close(self) -> None:
        """Let go of everything."""
        self.journal.close()
        self.lock.release()


def open_files(
    directory: Path, cluster_id: str, key: DataKey | None = None, upgrade: Member | None = None
) -> Files:
    """Open or make everything; see `SqliteDisk.open`."""
    try:
        make_directory(directory)
        lock = DirectoryLock(directory)
    except OSError as error:
        raise refusal(directory, error) from error
    try:
        return _open(lock, directory, cluster_id, key, upgrade)
    except OSError as error:
        lock.release()
        raise refusal(directory, error) from error
    except BaseException:
        lock.release()
        raise


def _open(
    lock: DirectoryLock, directory: Path, cluster_id: str, key: DataKey | None, upgrade: Member | None
) -> Files:
    path, folder = directory / "log.db", directory / "snapshots"
    found = probe(path, cluster_id)
    if found is None and (orphans := [*folder.glob("*.snapshot"), *folder.glob("*.snap")]):
        raise errors.Corrupt(
            f"there is no log {path}, but a snapshot of what it led to ({orphans[0]}): the log was lost, and with it "
            f"how this manager voted; {rejoin(directory)}"
        )
    if key is None:
        file = KeyFile(directory / "key")
        key = file.create() if found != FORMAT and not file.exists else file.key()
    if found is not None and found != FORMAT:
        convert(directory, cluster_id, key, upgrade)
    journal = Journal(path, cluster_id, key)
    try:
        sweep(directory)
        snapshots = Snapshots(folder, cluster_id, key)
        snapshots.recover(journal.state.installed)
        return Files(lock, journal, snapshots)
    except BaseException:
        journal.close()
        raise


def read(journal: Journal, snapshots: Snapshots) -> Stored:
    """Read everything back; raises `Corrupt` if the parts do not fit together."""
    state = journal.state
    newest = snapshots.newest(state.kept_index)
    mark = SnapshotMark() if newest is None else newest.mark
    if mark.index < state.kept_index:
        raise errors.Corrupt(
            f"the log {journal.path} begins after {state.kept_index}, and no sound snapshot of what came before is "
            f"left; {rejoin(journal.path.parent)}"
        )
    if mark.index > state.last_index:
        raise errors.Corrupt(
            f"the newest snapshot is of index {mark.index}, and the log {journal.path} ends at {state.last_index}: the "
            f"log was lost or replaced; {rejoin(journal.path.parent)}"
        )
    entries = tuple(journal.entries())
    if state.kept_index < mark.index and entries[mark.index - state.kept_index - 1].term != mark.term:
        raise errors.Corrupt(
            f"entry {mark.index} of the log {journal.path} is not the one the newest snapshot is of; "
            f"{rejoin(journal.path.parent)}"
        )
    kept_after = SnapshotMark(state.kept_index, state.kept_term)
    return Stored(journal.id, state.hard_state, mark, kept_after, entries)
