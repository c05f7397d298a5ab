"""What lies where in etcd, and in which form. Pure."""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from covey import limits
from covey.errors import Corrupt

from ..seam import Record

FORMAT = 1
BEGINS, ENDS = 1, 2  # the flags of a part; one that is both is an entry


class Format(Struct, frozen=True):
    """What is kept under a cluster's prefix, and which key reads it."""

    format: int
    cluster_id: str
    key: bytes


class Head(Struct, frozen=True, array_like=True):
    """How far the log reaches: the last key, the last whole record, and the term they were written in."""

    index: int = 0
    record: int = 0
    term: int = 0


class Who(Struct, frozen=True):
    """A manager, as it registers itself and as it leads."""

    node_id: str
    address: str


class Marker(Struct, frozen=True):
    """What makes chunks a snapshot."""

    term: int
    chunks: int


class Part(Struct, frozen=True):
    """What one key holds of an entry."""

    flags: int
    data: bytes


class Layout:
    """The names of one cluster's keys."""

    def __init__(self, prefix: str, cluster_id: str) -> None:
        self.root = f"{prefix.rstrip('/')}/{cluster_id}/".encode()
        self.cluster_id = cluster_id
        self.format = self.root + b"format"
        self.head = self.root + b"head"
        self.entries = self.root + b"entry/"
        self.snapshots = self.root + b"snapshots/"
        self.chunks = self.root + b"snapshot/"
        self.who = self.root + b"who/"
        self.leader = self.who + b"leader"
        self.managers = self.who + b"managers/"
        self.alive = self.who + b"alive/"

    def entry(self, index: int) -> bytes:
        """Where the entry of an index lies; as bytes the names are in the order of the indexes."""
        return self.entries + b"%020d" % index

    def snapshot(self, index: int) -> bytes:
        """Where a snapshot's marker lies."""
        return self.snapshots + b"%020d" % index

    def group(self, index: int, term: int) -> bytes:
        """What the chunks of one attempt at a snapshot begin with."""
        return self.chunks + b"%020d/%020d/" % (index, term)

    def chunk(self, index: int, term: int, number: int) -> bytes:
        """Where a snapshot's chunk lies."""
        return self.group(index, term) + b"%06d" % number

    def manager(self, node_id: str) -> bytes:
        """Where a manager registers itself; it stays when the manager goes, for agents to come back to it."""
        return self.managers + node_id.encode()

    def sign_of_life(self, node_id: str) -> bytes:
        """What a manager shows for as long as it lives."""
        return self.alive + node_id.encode()

    def place(self, key: bytes) -> bytes:
        """What a value is bound to: cluster and place, but not the prefix, so that all of it can be moved."""
        return self.cluster_id.encode() + b"/" + key.removeprefix(self.root)


def index_of(key: bytes) -> int:
    """Give the index an entry's or a marker's key ends with."""
    return int(key.rpartition(b"/")[2])


def after(prefix: bytes) -> bytes:
    """Give the end of the range of all keys that begin with `prefix`, which ends in a slash."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


def encode(value: Struct) -> bytes:
    """Give the bytes of a small value."""
    return msgspec.msgpack.encode(value)


def head(data: bytes | None, where: bytes) -> Head:
    """Read the head; there is none before the first entry."""
    if data is None:
        return Head()
    try:
        return msgspec.msgpack.decode(data, type=Head)
    except msgspec.DecodeError as error:
        raise damaged(where, error) from error


def damaged(where: bytes, error: object) -> Corrupt:
    """Say that something in etcd is not what was written there."""
    return Corrupt(
        f"{where.decode(errors='replace')} in etcd is not what was written there ({error}); restore a backup of etcd, or "
        "`covey cluster restore` one of Covey"
    )


def parts(data: bytes, bytes_max: int | None = None) -> Iterator[Part]:
    """Cut an entry into what fits a key each."""
    most = bytes_max or limits.etcd_value_bytes_max
    last = max(0, (len(data) - 1) // most)
    for number in range(last + 1):
        flags = (BEGINS if number == 0 else 0) | (ENDS if number == last else 0)
        yield Part(flags, data[number * most : (number + 1) * most])


class Assembler:
    """Puts the parts of long entries together again.

    An entry whose end its leader did not live to write is followed by another one's beginning, or by nothing: it was
    never acknowledged, and every manager passes over it alike.
    """

    def __init__(self) -> None:
        self._begun: list[bytes] | None = None

    def feed(self, index: int, part: Part) -> Record | None:
        """Take the next key's part; gives the record it completes."""
        if part.flags & BEGINS:
            self._begun = []
        if self._begun is None:
            return None
        self._begun.append(part.data)
        if not part.flags & ENDS:
            return None
        whole, self._begun = b"".join(self._begun), None
        return Record(index, whole)

    def feed_all(self, found: Sequence[tuple[int, Part]]) -> list[Record]:
        """Take many."""
        return [record for index, part in found if (record := self.feed(index, part)) is not None]
