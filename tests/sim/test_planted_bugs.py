"""The simulation can fail: each of these bugs, planted alone, is found within some seeds.

Five that matter most: a member votes twice in a term; an entry of an old term is committed by counting; the disk
acknowledges what it has not synced; applied entries are truncated; a leader answers reads without asking a
majority.
"""

from collections.abc import Callable, Sequence

import pytest

from manager.raft.election import Election
from manager.raft.entry import NOBODY
from manager.raft.log import Log
from manager.raft.messages import Vote
from manager.raft.reads import Round
from manager.raft.ready import Role
from manager.raft.replication import Leadership
from tests.sim.__main__ import attempt
from tests.sim.faults import Faults

Plant = Callable[[pytest.MonkeyPatch], None]
SEEDS = 400


def vote_twice(patch: pytest.MonkeyPatch) -> None:
    answer = Election.answer

    def forgetful(self: Election, vote: Vote) -> None:
        if not vote.pre and self._local.role is Role.FOLLOWER:
            self._local.vote = NOBODY
        answer(self, vote)

    patch.setattr(Election, "answer", forgetful)


def commit_an_old_term_by_counting(patch: pytest.MonkeyPatch) -> None:
    def commit_index(self: Leadership) -> int:
        matches = {id: peer.match for id, peer in self.peers.items()}
        return max(self._majority_has(matches, self._local.log.durable), self._local.log.commit)

    patch.setattr(Leadership, "commit_index", commit_index)


def acknowledge_without_a_sync(patch: pytest.MonkeyPatch) -> None:
    begin = Faults.__init__

    def lying(self: Faults, world: object) -> None:
        begin(self, world)  # type: ignore[arg-type]
        self.disks_sync = False

    patch.setattr(Faults, "__init__", lying)


def truncate_applied_entries(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Log, "first_new", lambda self, entries: 0)


def read_without_a_majority(patch: pytest.MonkeyPatch) -> None:
    def confirmed(self: object, number: int) -> list[Round]:
        done = list(self._rounds)  # type: ignore[attr-defined]
        self._rounds.clear()  # type: ignore[attr-defined]
        return done

    patch.setattr("manager.raft.reads.Reads.confirmed", confirmed)


PLANTS = [
    (vote_twice, "hasty"),
    (commit_an_old_term_by_counting, "hasty"),
    (acknowledge_without_a_sync, "raft"),
    (truncate_applied_entries, "raft"),
    (read_without_a_majority, "raft"),
]


def found_at(seeds: Sequence[int], profile: str) -> tuple[int, str]:
    """The first seed that fails, and how."""
    for seed in seeds:
        if failure := attempt(seed, profile):
            return seed, failure
    return 0, ""


@pytest.mark.parametrize(("plant", "profile"), PLANTS, ids=[plant.__name__ for plant, _ in PLANTS])
def test_a_planted_bug_is_found(plant: Plant, profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    seed, failure = found_at(range(1, SEEDS + 1), profile)
    assert seed, f"{SEEDS} seeds ran clean with {plant.__name__}"
    print(f"{plant.__name__}: {failure}")
