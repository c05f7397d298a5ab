"""What must be true of all logs together (figure 3 of the Raft paper). Each raises with a sentence.

Log matching: entries of the same place and term are the same, and so is all before them. That is so for all logs
that ever were if every entry that is known by place and term has one content and one predecessor. Leader
completeness: who is elected holds everything that was applied anywhere. Leader append-only: nothing that a leader
holds is replaced while it leads.
"""

from dataclasses import dataclass, field

from manager.raft.core import Raft
from manager.raft.entry import Entry
from tests.sim.checkers import Violated


@dataclass
class Logs:
    """Every entry that was ever given to a disk, and every leader's log."""

    known: dict[tuple[int, int], tuple[Entry, int]] = field(default_factory=dict)
    newest_term: int = 0
    _lead: dict[tuple[int, int], int] = field(default_factory=dict)

    def written(self, core: Raft, entries: tuple[Entry, ...]) -> None:
        """Look at what a member is about to write."""
        before = core.log.term_at(entries[0].index - 1) if entries else None
        for entry in entries:
            place = (entry.index, entry.term)
            known, known_before = self.known.setdefault(place, (entry, before or 0))
            if known != entry:
                raise Violated(f"entry {entry.index} of term {entry.term} is two things on two members")
            if before is not None and known_before and known_before != before:
                raise Violated(
                    f"entry {entry.index} of term {entry.term} follows one of term {before} on member {core.id}, "
                    f"and one of term {known_before} on another"
                )
            before = entry.term

    def leads(self, core: Raft, applied: dict[int, Entry]) -> None:
        """Look at a leader."""
        log, term = core.log, core.standing.term
        last = self._lead.get((term, core.id))
        if last is not None and log.last_index < last:
            raise Violated(
                f"the log of leader {core.id} in term {term} shrank from {last} to {log.last_index}"
            )
        self._lead[term, core.id] = log.last_index
        if last is None and term > self.newest_term:
            self.newest_term = term
            self._complete(core, applied)

    def _complete(self, core: Raft, applied: dict[int, Entry]) -> None:
        log = core.log
        for index in range(log.base_index + 1, max(applied, default=0) + 1):
            if index not in applied:
                continue
            if log.term_at(index) != applied[index].term:
                raise Violated(
                    f"member {core.id} was elected in term {core.standing.term} without entry {index} of term "
                    f"{applied[index].term}, which was applied"
                )
