"""Whatever happens to a few members, Raft's promises hold (figure 3), and in the end they agree.

The schedule decides everything: which message arrives next, late, twice or never, whose clock ticks, which
disk is slow, who crashes with what it had not written. `RaftNetwork` checks the promises all the time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from covey import errors, limits
from manager.raft.entry import NOBODY, Member, Membership
from tests.support.raft_network import MemberOfNetwork, RaftNetwork, member_log


@contextmanager
def quick(narrow: bool) -> Iterator[None]:
    """Impatient members; and messages of one entry, few under way, so that logs differ bit by bit."""
    bounds = {"raft_election_ticks": 6, "raft_retry_ticks_max": 3}
    if narrow:
        bounds |= {"raft_append_bytes_max": 40, "raft_inflight_messages_max": 3}
    before = {name: getattr(limits, name) for name in bounds}
    for name, value in bounds.items():
        setattr(limits, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(limits, name, value)


class Schedule:
    """A run under fire, drawn from a seed: short to shrink, and quick."""

    def __init__(self, seed: int, count: int) -> None:
        self.dice = Random(seed)
        self.network = RaftNetwork(count, seed)
        self.next_id = count + 1
        self.proposed = 0
        self.reads: dict[int, tuple[MemberOfNetwork, int, int]] = {}  # key: asker, its life, the least index
        self.actions = (
            [self.work] * 300
            + [self.deliver] * 450
            + [self.tick] * 120
            + [self.propose] * 40
            + [self.read] * 20
            + [self.restart, self.speed_up] * 4
            + [self.duplicate, self.lose] * 6
            + [self.blink] * 2
            + [self.crash, self.slow_down, self.isolate, self.snapshot, self.alarm, self.heal]
            + [self.cut, self.change, self.transfer]
            + [self.heal] * 2
        )

    def run(self, steps: int) -> None:
        with quick(narrow=self.dice.random() < 0.5):
            for step in range(steps):
                self.dice.choice(self.actions)()
                if step % 50 == 0:
                    self.network.check_all()
            self.calm_down()

    def somebody(self) -> MemberOfNetwork:
        return self.dice.choice(list(self.network.members.values()))

    def victim(self) -> MemberOfNetwork:
        """Somebody to be hit: often one that leads."""
        leading = [member for member in self.network.members.values() if member.leads]
        return self.dice.choice(leading) if leading and self.dice.random() < 0.5 else self.somebody()

    # --- what may happen ---

    def work(self) -> None:
        self.somebody().work()
        self.note_reads()

    def deliver(self) -> None:
        queue = self.network.queue
        if queue:  # mostly in order, as streams are, and sometimes not
            place = self.dice.randrange(len(queue)) if self.dice.random() < 0.3 else 0
            self.network.deliver(queue.pop(place))

    def tick(self) -> None:
        member = self.somebody()
        if member.alive:
            for _ in range(self.dice.choice((1, 1, 1, 3))):
                member.core.tick()
            member.check()

    def propose(self) -> None:
        for member in list(self.network.members.values()):
            if member.leads and self.dice.random() < 0.9:
                count = self.dice.choice((1, 1, 2, 5))
                datas = [b"%d" % (self.proposed + i) for i in range(count)]
                self.proposed += count
                try:
                    member.core.propose(datas)
                except errors.NotLeader:
                    continue

    def read(self) -> None:
        leading = [member for member in self.network.members.values() if member.leads]
        for member in [*leading, self.somebody()]:
            if member.alive:
                key = len(self.reads) + 1
                self.reads[key] = (member, member.lives, max(self.network.history, default=0))
                member.core.read(key)

    def note_reads(self) -> None:
        for member in list(self.network.members.values()):
            for answer in member.reads:
                asker, life, least = self.reads[answer.key]
                assert (asker, life) == (member, member.lives), "an answer to a former life"
                assert answer.index is None or answer.index >= least, "a read in the past"
            member.reads.clear()

    def duplicate(self) -> None:
        if self.network.queue:
            self.network.queue.append(self.dice.choice(self.network.queue))

    def lose(self) -> None:
        if self.network.queue:
            self.network.lose(self.network.queue.pop(self.dice.randrange(len(self.network.queue))))

    def slow_down(self) -> None:
        self.victim().slow_disk = True

    def speed_up(self) -> None:
        slow = [member for member in self.network.members.values() if member.alive and member.slow_disk]
        if slow:
            self.dice.choice(slow).disk_done()

    def crash(self) -> None:
        self.network.crash(self.victim().id)

    def blink(self) -> None:
        """Crash and come back at once, with what the disk has."""
        id = self.victim().id
        self.network.crash(id)
        self.network.restart(id)

    def restart(self) -> None:
        dead = [member.id for member in self.network.members.values() if not member.alive]
        if dead:
            self.network.restart(self.dice.choice(dead))

    def isolate(self) -> None:
        gone = self.victim()
        self.network.isolate(gone.id)
        if self.dice.random() < 0.5:
            self.alarm(gone.id)

    def cut(self) -> None:
        self.network.cut.add((self.somebody().id, self.somebody().id))

    def heal(self) -> None:
        self.network.heal()

    def snapshot(self) -> None:
        member = self.somebody()
        if (
            member.alive
            and member.pending is None
            and member.applied_index > member.core.local.snapshot.index
        ):
            member.snapshot(keep_entries=self.dice.choice((0, 0, 3)))

    def alarm(self, gone: int = NOBODY) -> None:
        """All connections of a member break, or seem to."""
        gone = gone or self.victim().id
        for member in self.network.members.values():
            if member.alive and member.id != gone:
                member.core.lost(gone)

    def transfer(self) -> None:
        for member in list(self.network.members.values()):
            if member.leads:
                try:
                    member.core.transfer(self.somebody().id)
                except errors.FailedPrecondition:
                    continue

    def change(self) -> None:
        for member in list(self.network.members.values()):
            if member.leads:
                try:
                    member.core.change(self.next_step(member.core.membership))
                except errors.FailedPrecondition:
                    continue

    def next_step(self, now: Membership) -> Membership:
        learners = [member for member in now.members if not member.voter]
        if learners:
            promoted = Member(learners[0].id, "", "", voter=True)
            kept = tuple(member for member in now.members if member is not learners[0])
            return Membership((*kept, promoted), now.removed)
        if len(now.members) >= 5 or (len(now.members) > 2 and self.dice.random() < 0.5):
            gone = self.dice.choice(now.members)
            return Membership(tuple(member for member in now.members if member is not gone), now.removed)
        id, self.next_id = self.next_id, self.next_id + 1
        self.network.add_empty(id)
        return Membership((*now.members, Member(id, "", "", voter=self.dice.random() < 0.5)), now.removed)

    # --- and how it ends ---

    def calm_down(self) -> None:
        """With all alive and joined, and time, there is a leader, and the members apply all it has."""
        network = self.network
        network.heal()
        for member in network.members.values():
            member.disk_done()
            if not member.alive:
                network.restart(member.id)
        network.tick(150)
        self.note_reads()
        leader = network.wait_for_leader()
        network.tick(60)
        leader = network.wait_for_leader()
        network.propose(leader.id, b"last")
        network.tick(10)
        last = leader.core.status().last_index
        for member in leader.core.membership.members:
            assert network[member.id].applied_index == last, f"{member.id} stays behind"
            assert network[member.id].state == leader.state
        network.check_all()


@given(seed=st.integers(0, 2**32), count=st.sampled_from((3, 3, 4, 5)))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_promises_hold_under_any_schedule(seed: int, count: int) -> None:
    Schedule(seed, count).run(4000)


@pytest.mark.parametrize("count", [1, 2])
def test_they_hold_for_the_small_as_well(count: int) -> None:
    for seed in range(5):
        Schedule(seed, count).run(2000)


def test_the_same_seed_gives_the_same_run() -> None:
    first, second = Schedule(7, 3), Schedule(7, 3)
    first.run(600)
    second.run(600)
    assert first.network.sent == second.network.sent
    assert [member_log(member) for member in first.network.members.values()] == [
        member_log(member) for member in second.network.members.values()
    ]
