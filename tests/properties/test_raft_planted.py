"""The schedules of `test_raft_core` can fail: each of these bugs is found within some seeds.

Bugs that show only after a rare chain of events have a test of their own in `tests/unit/raft`, and the
simulation of whole clusters.
"""

from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from covey import errors
from manager.raft import roles
from manager.raft.election import Election
from manager.raft.entry import NOBODY, Entry
from manager.raft.local import Local
from manager.raft.log import Log
from manager.raft.messages import AnyMessage, Vote
from manager.raft.outbox import Outbox
from manager.raft.ready import Role
from manager.raft.replication import Leadership
from tests.properties.test_raft_core import Schedule

Plant = Callable[[pytest.MonkeyPatch], None]


def vote_twice(patch: pytest.MonkeyPatch) -> None:
    answer = Election.answer

    def forgetful(self: Election, vote: Vote) -> None:
        if not vote.pre and self._local.role is Role.FOLLOWER:
            self._local.vote = NOBODY
        answer(self, vote)

    patch.setattr(Election, "answer", forgetful)


def elect_any_log(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Log, "newer_than", lambda self, index, term: False)


def commit_without_a_majority(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Leadership, "commit_index", lambda self: self._local.log.durable)


def acknowledge_before_the_disk(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Outbox, "promise", lambda self, message: self.send(message))


def truncate_whatever_comes(patch: pytest.MonkeyPatch) -> None:
    def first_new(self: Log, entries: Sequence[Entry]) -> int:
        return 0

    patch.setattr(Log, "first_new", first_new)


def take_entries_anywhere(patch: pytest.MonkeyPatch) -> None:
    take = roles.take_append

    def gullible(local: Local, message: AnyMessage) -> None:
        term_at = local.log.term_at
        known = term_at(message.previous_index)  # type: ignore[union-attr]
        if known is not None and known != message.previous_term:  # type: ignore[union-attr]
            message = replace(message, previous_term=known)
        take(local, message)  # type: ignore[arg-type]

    patch.setattr(roles, "take_append", gullible)


PLANTS = [
    vote_twice,
    elect_any_log,
    commit_without_a_majority,
    acknowledge_before_the_disk,
    truncate_whatever_comes,
    take_entries_anywhere,
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    for seed in range(400):
        try:
            Schedule(seed, (3, 4, 5)[seed % 3]).run(4000)
        except (AssertionError, errors.PeerFault):
            return
    raise AssertionError(f"{plant.__name__} stays unnoticed")
