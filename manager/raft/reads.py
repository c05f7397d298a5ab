"""Linearizable reads without a log entry: read-index (thesis 6.4).

A leader notes its commit index, lets a majority confirm that it still leads, and only then lets the reader
go ahead at that index. All reads that wait are confirmed together, by one round of heartbeats. A follower
asks its leader. No clock is trusted: a lease would cost less and could lie (thesis 6.4.1).
"""

from collections import deque
from random import Random

from msgspec import Struct

from covey import limits


class Asker(Struct, frozen=True):
    """Who wants to read: this member itself, or another one; `key` is that one's own."""

    id: int
    key: int


class Round(Struct, frozen=True):
    """Reads confirmed together: at `index`, once a majority answers the heartbeat numbered `number`."""

    number: int
    index: int
    askers: tuple[Asker, ...]


class Reads:
    """A leader's: those that wait, and the rounds under way."""

    __slots__ = ("_rounds", "_waiting", "number")

    def __init__(self) -> None:
        self.number = 0
        self._waiting: list[Asker] = []
        self._rounds: deque[Round] = deque()

    def add(self, asker: Asker) -> None:
        """Let a read wait for the next round."""
        self._waiting.append(asker)

    @property
    def waiting(self) -> bool:
        """Whether a round may start: reads wait, and none is under way."""
        return bool(self._waiting) and not self._rounds

    def start(self, commit: int) -> int:
        """Begin a round for all that wait; gives its number."""
        self.number += 1
        self._rounds.append(Round(self.number, commit, tuple(self._waiting)))
        self._waiting.clear()
        return self.number

    def confirmed(self, number: int) -> list[Round]:
        """Take the rounds up to `number`, which a majority has confirmed."""
        done = []
        while self._rounds and self._rounds[0].number <= number:
            done.append(self._rounds.popleft())
        return done

    def give_up(self) -> list[Asker]:
        """Take everybody who still waits: the leadership is over."""
        askers = [asker for round in self._rounds for asker in round.askers] + self._waiting
        self._rounds.clear()
        self._waiting = []
        return askers


class ForwardedReads:
    """A follower's: what it has asked its leader.

    The leader is asked under numbers of this member's own that begin at random, so that an answer to a
    member's former life answers nothing now.
    """

    __slots__ = ("_asked", "_next")

    def __init__(self, dice: Random) -> None:
        self._next = dice.getrandbits(62)
        self._asked: dict[int, tuple[int, int]] = {}  # by our number: key, ticks waited

    def ask(self, key: int) -> int:
        """Note a read; gives the number to ask under."""
        self._next += 1
        self._asked[self._next] = (key, 0)
        return self._next

    def answered(self, number: int) -> int | None:
        """Take the key of an answered read; None if nobody waits for it any more."""
        asked = self._asked.pop(number, None)
        return asked[0] if asked else None

    def tick(self) -> list[int]:
        """Take the keys of reads that have waited for an election timeout: question or answer is lost."""
        if not self._asked:
            return []
        self._asked = {number: (key, waited + 1) for number, (key, waited) in self._asked.items()}
        late = [n for n, (_, waited) in self._asked.items() if waited >= limits.raft_election_ticks]
        return [self._asked.pop(number)[0] for number in late]

    def give_up(self) -> list[int]:
        """Take the keys of all reads: there is no such leader any more."""
        keys = [key for key, _ in self._asked.values()]
        self._asked.clear()
        return keys
