"""The history of a cluster's commits, from the files of a manager that goes on meanwhile."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from covey.errors import Corrupt, CoveyError
from covey.model.objects import Endpoint, Service
from manager.raft.entry import Entry, EntryKind
from manager.raft.io.journal import Journal
from manager.raft.io.keys import KeyFile
from manager.store import entry
from manager.store.tables import Tables
from manager.store.transaction import Commit

_FILES = ("log.db", "log.db-wal")
_COPIES = 20  # a copy made while sqlite brings its write-ahead file home is none


class Commits:
    """Reads all commits since the cluster began, or since it was asked last; `tables` are as of the last one."""

    def __init__(self, state: Path) -> None:
        self.tables = Tables()
        self._manager = state / "manager"
        self._reached = 0  # of the log: the store's entries, and others

    def until(self, index: int) -> Iterator[Commit]:
        """Give every commit up to the log's index `index`, which must be committed."""
        for each in self._entries(index):
            self._reached = each.index
            if each.kind is not EntryKind.DATA:
                continue
            told = entry.decode(each.data)
            outcome = self.tables.apply(told.transaction, each.index, told.at_ns)
            if isinstance(outcome, Commit):
                yield outcome

    def _entries(self, index: int) -> list[Entry]:
        for _ in range(_COPIES):
            with tempfile.TemporaryDirectory() as folder:
                for name in _FILES:
                    shutil.copyfile(self._manager / name, Path(folder) / name)
                try:
                    return self._read(Path(folder) / _FILES[0], index)
                except (Corrupt, sqlite3.Error):
                    continue
        raise CoveyError(f"no sound copy of the log in {self._manager}, in {_COPIES} tries")

    def _read(self, path: Path, index: int) -> list[Entry]:
        with closing(sqlite3.connect(path)) as database:
            (cluster_id,) = database.execute("SELECT value FROM meta WHERE key = 'cluster_id'").fetchone()
        with closing(Journal(path, cluster_id, KeyFile(self._manager / "key").key())) as journal:
            if journal.state.kept_index > self._reached:
                raise CoveyError(
                    f"the log begins after {journal.state.kept_index}, and was read up to {self._reached}"
                )
            return [each for each in journal.entries() if self._reached < each.index <= index]


class Addresses:
    """Who has held which address by the managers' word, told commit by commit; a holder is a task, node or service."""

    def __init__(self) -> None:
        self.twice: list[str] = []
        self.network_of: dict[tuple[str, str], str] = {}  # ever: the network by holder and address
        self._held: dict[tuple[str, str], str] = {}

    def observe(self, commit: Commit) -> None:
        """Take note of a commit: first of what it frees, then of what it gives."""
        changed = [each for each in commit.changes if each.kind in (Endpoint, Service)]
        for change in changed:
            for network, address, holder in _holdings(change.before):
                if self._held.get((network, address)) == holder:
                    del self._held[network, address]
        for change in changed:
            for network, address, holder in _holdings(change.after):
                other = self._held.setdefault((network, address), holder)
                if other != holder:
                    self.twice.append(f"{address} by {other} and {holder} at {commit.index}")
                self.network_of[holder, address] = network


def _holdings(thing: object) -> Iterator[tuple[str, str, str]]:
    if isinstance(thing, Endpoint):
        holder = thing.task_id or thing.node_id
        yield from ((thing.network_id, address, holder) for address in thing.addresses)
    elif isinstance(thing, Service):
        yield from ((each.network_id, each.address, thing.id) for each in thing.virtual_ips)
