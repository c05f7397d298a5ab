"""Members on disks that are full, slow or failing."""

import asyncio
from collections.abc import Awaitable

import pytest

from covey import errors, limits
from covey.errors import LogFailed, NotLeader
from manager.raft.faulty import FaultyDisk
from manager.raft.ready import Role
from manager.raft.seam import Disk
from tests.support.raft_group import Group, applied, until


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "raft_tick_ms", 10)
    monkeypatch.setattr(limits, "raft_full_disk_pause_ms", 20)
    monkeypatch.setattr(limits, "raft_doubt_ms", 200)


def run(test: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test

    asyncio.run(bounded())


class Faulty(Group):
    """A group whose disks can be broken, by member."""

    def __init__(self) -> None:
        super().__init__(self._around)
        self.disks: list[FaultyDisk] = []

    def _around(self, disk: Disk) -> Disk:
        self.disks.append(FaultyDisk(disk))
        return self.disks[-1]


def test_a_leader_with_a_full_disk_hands_over_and_follows_once_there_is_room() -> None:
    async def test() -> None:
        group = Faulty()
        old = await group.form(3)
        await old.propose([b"before"])
        group.disks[0].full = True
        in_flight = asyncio.create_task(old.propose([b"replicated by the others"]))
        await until(lambda: old._loop.full is not None)
        with pytest.raises((errors.ResourceExhausted, NotLeader)):
            await old.propose([b"refused"])
        new = await group.leader(but=1)
        await new.propose([b"after"])
        outcome = (await asyncio.gather(in_flight, return_exceptions=True))[0]
        assert outcome is None or isinstance(outcome, errors.Unavailable)
        group.disks[0].full = False
        await until(lambda: old.applied == new.applied)
        assert await applied(old) == [b"before", b"replicated by the others", b"after"]
        assert not old.ended
        await group.stop()

    run(test())


def test_alone_on_a_full_disk_it_refuses_reads_on_and_recovers() -> None:
    async def test() -> None:
        group = Faulty()
        alone = await group.start(1, founding=True)
        await alone.propose([b"one"])
        group.disks[0].full = True
        with pytest.raises(errors.Unavailable, match="nobody knows"):
            await alone.propose([b"two"])
        with pytest.raises(errors.ResourceExhausted, match="no space left"):
            await alone.propose([b"three"])
        assert await alone.read() == alone.applied
        assert await applied(alone) == [b"one"]
        group.disks[0].full = False
        await until(lambda: alone._loop.full is None)
        await alone.propose([b"four"])
        assert await applied(alone) == [b"one", b"two", b"four"]
        await group.stop()

    run(test())


@pytest.mark.parametrize("fault", ["broken", "lose_acknowledgement"])
def test_after_a_failed_fsync_a_leader_is_gone_for_good_and_the_others_go_on(fault: str) -> None:
    async def test() -> None:
        group = Faulty()
        old = await group.form(3)
        await old.propose([b"kept"])
        setattr(group.disks[0], fault, True)
        outcome = (await asyncio.gather(old.propose([b"doubtful"]), return_exceptions=True))[0]
        assert outcome is None or isinstance(outcome, LogFailed)
        await until(lambda: old.ended)
        assert isinstance(old.failure, LogFailed)
        with pytest.raises(LogFailed):
            await old.propose([b"late"])
        with pytest.raises(LogFailed):
            await old.read()
        await old.stop()
        del group.members[1]
        new = await group.leader(but=1)
        await new.propose([b"on"])
        assert (await applied(new))[0] == b"kept"
        await group.stop()

    run(test())


def test_a_reader_hears_why_the_log_has_ended() -> None:
    async def test() -> None:
        group = Faulty()
        alone = await group.start(1, founding=True)
        reader = alone.committed(alone.applied)
        waiting = asyncio.ensure_future(anext(reader))
        await asyncio.sleep(0)
        group.disks[0].broken = True
        with pytest.raises(LogFailed, match="injected"):
            await alone.propose([b"x"])
        with pytest.raises(LogFailed, match="injected"):
            await waiting
        await group.stop()

    run(test())


def test_a_slow_disk_delays_no_heartbeat() -> None:
    async def test() -> None:
        group = Faulty()
        leader = await group.form(3)
        term = leader.standing.term
        slow = limits.raft_tick_ms * limits.raft_election_ticks * 3 / 1000
        for disk in group.disks:
            disk.slow_s = slow
        await asyncio.gather(*(leader.propose([b"%d" % n]) for n in range(20)))
        assert leader.standing.term == term
        assert leader.standing.role is Role.LEADER
        for disk in group.disks:
            disk.slow_s = 0
        await group.stop()

    run(test())


def test_a_follower_with_a_full_disk_is_waited_for_by_nobody() -> None:
    async def test() -> None:
        group = Faulty()
        leader = await group.form(3)
        group.disks[2].full = True
        await asyncio.gather(*(leader.propose([b"%d" % n]) for n in range(20)))
        group.disks[2].full = False
        await until(lambda: group.members[3].applied == leader.applied)
        await group.stop()

    run(test())


def test_a_disk_that_is_full_at_the_start_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        group = Faulty()
        alone = await group.start(1, founding=True)
        await alone.propose([b"one"])
        await group.kill(1)
        wrap = group._wrap

        def full(disk: Disk) -> Disk:
            made = wrap(disk)
            assert isinstance(made, FaultyDisk)
            made.full = True
            return made

        group._wrap = full
        again = await group.start(1)
        assert again.standing.role is not Role.LEADER
        with pytest.raises((errors.ResourceExhausted, NotLeader)):
            await again.propose([b"two"])
        monkeypatch.setattr(limits, "raft_read_timeout_s", 0.1)
        with pytest.raises(errors.Unavailable, match=r"no space left.*make room"):
            await again.read()
        group.disks[-1].full = False
        await group.leader()
        await again.propose([b"two"])
        assert await applied(again) == [b"one", b"two"]
        await group.stop()

    run(test())


def test_who_reads_later_does_not_share_the_answer_to_an_earlier_question() -> None:
    """A question leaves while the disk is busy; what is acknowledged after that must be seen by the next reader."""

    async def test() -> None:
        group = Faulty()
        leader = await group.form(3)
        follower = group.members[2]
        group.disks[1].slow_s = 0.2
        await leader.propose([b"one"])  # the follower is busy with it for a while
        await asyncio.sleep(0.05)
        early = asyncio.create_task(follower.read())
        await asyncio.sleep(0.05)
        await leader.propose([b"two"])
        acknowledged = leader.applied
        assert await follower.read() >= acknowledged
        await early
        group.disks[1].slow_s = 0
        await group.stop()

    run(test())


def test_a_member_whose_disk_fails_at_the_start_says_so_and_lets_go() -> None:
    async def test() -> None:
        group = Faulty()
        alone = await group.start(1, founding=True)
        await alone.propose([b"one"])
        await group.kill(1)
        wrap = group._wrap

        def broken(disk: Disk) -> Disk:
            made = wrap(disk)
            assert isinstance(made, FaultyDisk)
            made.broken = True
            return made

        group._wrap = broken
        with pytest.raises(LogFailed, match="injected"):
            await group.start(1)
        assert not group.network.members
        group._wrap = wrap
        again = await group.start(1)
        assert await applied(again) == [b"one"]
        await group.stop()

    run(test())
