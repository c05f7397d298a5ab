"""Which manager to dial next, and when."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from covey import limits


@dataclass(slots=True)
class Candidates:
    """What is known of each manager's answering.

    One that failed is suspected for a while: others come first, and whoever names it as the leader has
    perhaps not heard yet. Where all are suspected, nobody is.
    """

    dice: Random
    suspects: dict[str, int] = field(default_factory=dict[str, int])  # until when, by address
    redirects: int = 0  # in a row, without a session in between
    leaderless: int = 0  # the same, of those that knew of no leader

    def choose(self, managers: Sequence[str], last: str, now_ms: int) -> str:
        """Choose one of `managers`: not the `last` one, and none that has just failed, if there are others."""
        others = [address for address in managers if address != last]
        unsuspected = [address for address in others if not self.is_suspect(address, now_ms)]
        return self.dice.choice(unsuspected or others or list(managers))

    def is_suspect(self, address: str, now_ms: int) -> bool:
        """Tell whether a manager has failed us a moment ago."""
        return now_ms < self.suspects.get(address, now_ms)

    def failed(self, address: str, now_ms: int) -> None:
        """It did not answer, fell silent, or said what cannot be."""
        self.suspects[address] = now_ms + limits.manager_suspect_ms

    def serves(self, address: str) -> None:
        """It has taken us in: the search is over."""
        self.suspects.pop(address, None)
        self.redirects = self.leaderless = 0

    def redirected(self, by: str, leader: str, now_ms: int) -> bool:
        """Hear that `by` does not lead; tell whether to dial `leader` at once.

        Two managers that each take the other for the leader must not send us to and fro for ever.
        """
        self.redirects += 1
        self.suspects.pop(by, None)  # it answers
        named = leader not in ("", by) and not self.is_suspect(leader, now_ms)
        if named and self.redirects <= limits.redirects_in_a_row_max:
            return True
        self.redirects = 0
        self.leaderless += 1
        return False

    def leaderless_pause_ms(self) -> int:
        """How long to wait before asking the next manager for the leader: another time than other agents."""
        grown = max(0, self.leaderless - limits.leaderless_pauses_short)
        longest_ms = min(limits.leaderless_pause_ms_max << min(grown, 16), limits.reconnect_backoff_ms_max)
        return round(self.dice.uniform(max(limits.leaderless_pause_ms_min, longest_ms // 4), longest_ms))
