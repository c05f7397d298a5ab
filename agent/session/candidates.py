"""Which manager to dial next, and when."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from covey import limits


@dataclass(slots=True)
class Candidates:
    """What is known of each manager's answering.

    One that failed is suspected for a while, longer each time: others come first, and whoever names it as the
    leader has perhaps not heard yet. Where all are suspected, the one that will be first to be none is taken.
    """

    dice: Random
    suspects: dict[str, int] = field(default_factory=dict[str, int])  # until when, by address
    strikes: dict[str, int] = field(default_factory=dict[str, int])  # failures since it last answered
    redirects: int = 0  # in a row, without a session in between
    leaderless: int = 0  # the same, of those that knew of no leader

    def choose(self, managers: Sequence[str], last: str, now_ms: int) -> str:
        """Choose one of `managers`: not the `last` one, and none that has just failed, if there are others."""
        good = [address for address in managers if not self.is_suspect(address, now_ms)]
        others = [address for address in good if address != last] or good
        if others:
            return self.dice.choice(others)
        waiting = [address for address in managers if address != last] or list(managers)
        return min(waiting, key=lambda address: self.suspects[address])

    def is_suspect(self, address: str, now_ms: int) -> bool:
        """Tell whether a manager has failed us a moment ago."""
        return now_ms < self.suspects.get(address, now_ms)

    def failed(self, address: str, now_ms: int) -> None:
        """It did not answer, fell silent, or said what cannot be."""
        strikes = self.strikes[address] = self.strikes.get(address, 0) + 1
        for_ms = min(limits.manager_suspect_ms << min(strikes - 1, 16), limits.manager_suspect_ms_max)
        self.suspects[address] = now_ms + for_ms

    def answered(self, address: str) -> None:
        """It lives."""
        self.suspects.pop(address, None)
        self.strikes.pop(address, None)

    def serves(self, address: str) -> None:
        """It has taken us in: the search is over."""
        self.answered(address)
        self.redirects = self.leaderless = 0

    def redirected(self, by: str, leader: str, now_ms: int) -> bool:
        """Hear that `by` does not lead; tell whether to dial `leader` at once.

        Two managers that each take the other for the leader must not send us to and fro for ever.
        """
        self.redirects += 1
        self.answered(by)
        named = leader not in ("", by) and not self.is_suspect(leader, now_ms)
        if named and self.redirects <= limits.redirects_in_a_row_max:
            return True
        self.redirects = 0
        self.leaderless += 1
        return False

    def leaderless_pause_ms(self) -> int:
        """How long to wait before asking the next manager for the leader: another time than other agents."""
        grown = max(0, self.leaderless - limits.leaderless_pauses_short)
        longest_ms = min(limits.leaderless_pause_ms_max << min(grown, 16), limits.search_pause_ms_max)
        return round(self.dice.uniform(max(limits.leaderless_pause_ms_min, longest_ms // 4), longest_ms))
