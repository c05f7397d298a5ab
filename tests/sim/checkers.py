"""What must be true of all managers together, whatever happens to them. Each raises with a sentence.

Checked while the run goes on: one leader a term (election safety); the same entry at the same place for
whoever applies it (state-machine safety); the same tables after it; whatever was acknowledged is among what
is applied (leader completeness); no address given twice and no reference into nothing (the leader's own
invariants); reads and writes in real time order (linearizability). What must be true of what runs is in `runs.py`.
"""

import hashlib
from dataclasses import dataclass, field

import msgspec

from covey.model.objects import Object
from manager.leader.invariants import validate
from manager.raft.entry import Entry
from manager.store.kinds import Kind
from manager.store.tables import Tables
from tests.support.linearizability import NEVER, Operation
from tests.support.linearizability import check as check_history

_encoder = msgspec.msgpack.Encoder()


class Violated(AssertionError):
    """A promise was broken."""


@dataclass
class Promises:
    """Everything that was seen so far, on any manager."""

    leaders: dict[int, int] = field(default_factory=dict)  # by term
    applied: dict[int, Entry] = field(default_factory=dict)  # by place, whoever applied it first
    digests: dict[int, str] = field(default_factory=dict)  # of the tables, at some places
    acknowledged: set[int] = field(default_factory=set)
    validated: int = 0

    def leads(self, term: int, id: int) -> bool:
        """Hear that a member leads (figure 3, election safety); whether that is news."""
        news = term not in self.leaders
        if self.leaders.setdefault(term, id) != id:
            raise Violated(f"members {self.leaders[term]} and {id} both lead in term {term}")
        return news

    def apply(self, id: int, entry: Entry) -> None:
        """Hear that a member applies an entry (figure 3, state-machine safety)."""
        known = self.applied.setdefault(entry.index, entry)
        if known is not entry and known != entry:
            raise Violated(
                f"member {id} applies an entry of term {entry.term} at {entry.index}, and another one of term "
                f"{known.term} was applied there"
            )

    def after(self, id: int, tables: Tables) -> None:
        """Look at a member's tables now and then: they are everybody's at that place."""
        if tables.index % 16:
            return
        digest = digest_of(tables.objects())
        if self.digests.setdefault(tables.index, digest) != digest:
            raise Violated(f"member {id} has other tables than somebody else at {tables.index}")
        if tables.index > self.validated:
            self.validated = tables.index
            sound(tables, at_rest=False)

    def acknowledge(self, index: int) -> None:
        """Hear that somebody was told that the write at a place is done."""
        self.acknowledged.add(index)

    def at_the_end(self, applied_by_leader: int) -> None:
        """Everything acknowledged was applied, by the last leader too."""
        if self.acknowledged and max(self.acknowledged) > applied_by_leader:
            raise Violated(
                f"the write at {max(self.acknowledged)} was acknowledged, and the log ends at {applied_by_leader}"
            )
        if lost := self.acknowledged - self.applied.keys():
            raise Violated(f"the writes at {sorted(lost)[:5]} were acknowledged, and nobody applied them")


def sound(tables: Tables, at_rest: bool) -> None:
    """See that what the leader has written makes sense: no address twice, no reference into nothing."""
    if wrong := validate(tables, at_rest=at_rest):
        raise Violated(f"at {tables.index}: " + "; ".join(wrong[:5]))


def digest_of(objects: dict[Kind, dict[str, Object]]) -> str:
    """A number for what tables hold."""
    digest = hashlib.sha256()
    for rows in objects.values():
        for id in sorted(rows):
            digest.update(_encoder.encode(rows[id]))
    return digest.hexdigest()


@dataclass
class Register:
    """The operations on one register. Its versions are places in the log, which only rises.

    In such a history an operation sees nothing older than what one that had ended before it began has seen or
    written; and what a write is followed by is newer than what was before it. That is seen at once, `at_the_end`
    sees the rest: a value nobody wrote, a write that took effect twice.
    """

    ended: list[tuple[float, int, str]] = field(default_factory=list)
    values: dict[int, str] = field(default_factory=dict)
    history: list[Operation] = field(default_factory=list)

    def done(self, began_ms: float, ended_ms: float, version: int, value: str, wrote: bool) -> None:
        """Note an operation that ended well. Version 0 is a register nobody has written."""
        for other_ended_ms, other_version, other in self.ended:
            if other_ended_ms >= began_ms:
                continue
            if version < other_version or (wrote and version == other_version):
                raise Violated(
                    f"{'a write' if wrote else 'a read'} of {value!r} (version {version}) began at {began_ms:.0f} ms, "
                    f"after {other!r} (version {other_version}) was acknowledged at {other_ended_ms:.0f} ms"
                )
        if version and self.values.setdefault(version, value) != value:
            raise Violated(f"version {version} was {self.values[version]!r} to one, and {value!r} to another")
        self.ended.append((ended_ms, version, value))
        self.history.append(Operation("write" if wrote else "read", value, began_ms, ended_ms))

    def unknown(self, began_ms: float, value: str) -> None:
        """Note a write of which nobody knows what came of it."""
        self.history.append(Operation("write", value, began_ms, NEVER))

    def at_the_end(self) -> None:
        """Look for an order that explains everything: without versions, as people see it."""
        check_history(self.history)
