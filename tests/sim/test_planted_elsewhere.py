"""More bugs that the simulation finds: in who is a member, in what a new leader knows, and in what it makes of it.

The five of the core itself are in `test_planted_bugs.py`. Each of these makes another checker speak.
"""

import pytest

from manager.allocator.addresses import Addresses
from manager.dispatcher.liveness import Expected, Liveness
from manager.raft.log import Log
from manager.raft.membership import Memberships
from manager.raft.outbox import Outbox
from manager.store.tables import Tables
from tests.sim.__main__ import attempt

SEEDS = 400


def elect_any_log(patch: pytest.MonkeyPatch) -> None:
    """A vote for whoever asks, whatever its log lacks (section 5.4.1)."""
    patch.setattr(Log, "newer_than", lambda self, index, term: False)


def promise_before_the_disk(patch: pytest.MonkeyPatch) -> None:
    """A vote or an acknowledgement that is sent before it is written."""
    patch.setattr(Outbox, "promise", Outbox.send)


def keep_a_truncated_membership(patch: pytest.MonkeyPatch) -> None:
    """An entry that is replaced takes the membership in it with it (thesis 4.1): here it stays in force."""
    patch.setattr(Memberships, "truncate", lambda self, index: None)


def apply_by_the_own_clock(patch: pytest.MonkeyPatch) -> None:
    """A member writes something of its own into what it applies."""
    apply, members = Tables.apply, [0]

    def inventive(self: Tables, transaction: object, index: int, at_ns: int) -> object:
        members[0] += 1
        return apply(self, transaction, index, at_ns + members[0])  # type: ignore[arg-type]

    patch.setattr(Tables, "apply", inventive)


def give_addresses_anew(patch: pytest.MonkeyPatch) -> None:
    """A new leader does not know which addresses the last one gave to services."""
    patch.setattr(Addresses, "observe_service", lambda self, id, service: None)


def expect_agents_at_once(patch: pytest.MonkeyPatch) -> None:
    """A new leader thinks all nodes dead that have not come yet."""
    step = Liveness.step

    def hasty(self: Liveness, event: object) -> object:
        told = step(self, event)  # type: ignore[arg-type]
        if isinstance(event, Expected):
            self.deadline_ms[event.node_id] = self.now_ms + 30
        return told

    patch.setattr(Liveness, "step", hasty)


PLANTS = [
    (elect_any_log, "raft"),
    (promise_before_the_disk, "hasty"),
    (keep_a_truncated_membership, "members"),
    (apply_by_the_own_clock, "raft"),
    (give_addresses_anew, "cluster"),
    (expect_agents_at_once, "cluster"),
]


@pytest.mark.parametrize(("plant", "profile"), PLANTS, ids=[plant.__name__ for plant, _ in PLANTS])
def test_another_planted_bug_is_found(plant: object, profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)  # type: ignore[operator]
    for seed in range(1, SEEDS + 1):
        if failure := attempt(seed, profile):
            print(f"{plant.__name__}: {failure}")  # type: ignore[attr-defined]
            return
    raise AssertionError(f"{SEEDS} seeds ran clean with {plant.__name__}")  # type: ignore[attr-defined]
