"""Running members on a network that can be cut: leaders come and go, and nothing acknowledged is lost."""

import asyncio
import time
from collections.abc import Awaitable

import pytest

from covey import errors, limits
from covey.errors import LogFailed, NotLeader
from covey.model.objects import Task
from manager.raft.entry import Membership
from manager.raft.ready import Role
from manager.raft.seam import Removed, SavedSnapshot
from manager.store.driver import Store
from manager.store.log.replicated import ReplicatedLog
from manager.store.watch import Lagged
from tests.support.raft_group import Group, applied, until

EMPTY = b"\x90"  # a chunk of the store without objects


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "raft_tick_ms", 10)
    monkeypatch.setattr(limits, "raft_full_disk_pause_ms", 20)


def run(test: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test

    asyncio.run(bounded())


def test_one_member_alone_leads_at_once() -> None:
    async def test() -> None:
        group = Group()
        leader = await group.start(1, founding=True)
        assert leader.standing.role is Role.LEADER
        await leader.propose([b"a", b"b"])
        assert await applied(leader) == [b"a", b"b"]
        assert await leader.read() == leader.applied
        await group.stop()
        again = await group.start(1)
        assert await applied(again) == [b"a", b"b"]
        await group.stop()

    run(test())


def test_what_the_leader_acknowledges_all_members_get() -> None:
    async def test() -> None:
        group = Group()
        leader = await group.form(3)
        await asyncio.gather(*(leader.propose([b"%d" % n]) for n in range(100)))
        for member in group.members.values():
            await until(lambda member=member: member.applied == leader.applied)  # type: ignore[misc]
            assert await applied(member) == [b"%d" % n for n in range(100)]
        with pytest.raises(NotLeader):
            await group.members[2].propose([b"x"])
        await group.stop()

    run(test())


def test_a_killed_leader_is_replaced_and_comes_back() -> None:
    async def test() -> None:
        group = Group()
        await (await group.form(3)).propose([b"one"])
        await group.kill(1)
        second = await group.leader()
        assert await applied(second) == [b"one"]
        await second.propose([b"two"])
        back = await group.start(1)
        await until(lambda: back.applied == second.applied)
        assert await applied(back) == [b"one", b"two"]
        await group.stop()

    run(test())


def test_a_leader_that_is_cut_off_decides_and_answers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "raft_doubt_ms", 2_000)
    monkeypatch.setattr(limits, "raft_read_timeout_s", 1.0)

    async def test() -> None:
        group = Group()
        old = await group.form(3)
        group.network.part([1], [2, 3])
        lost = asyncio.create_task(old.propose([b"lost"]))
        with pytest.raises(errors.Unavailable, match="no majority"):
            await old.read()
        new = await group.leader(but=1)
        await new.propose([b"kept"])
        assert old.standing.role is not Role.LEADER
        group.network.heal()
        with pytest.raises(NotLeader, match="nothing was written"):  # it hears what became of it
            await lost
        await until(lambda: old.applied == new.applied)
        assert await applied(old) == [b"kept"]
        await group.stop()

    run(test())


def test_who_stays_in_doubt_for_too_long_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "raft_doubt_ms", 100)

    async def test() -> None:
        group = Group()
        old = await group.form(3)
        group.network.part([1], [2, 3])
        with pytest.raises(errors.Unavailable, match="nobody knows"):
            await old.propose([b"doubtful"])
        await group.stop()

    run(test())


def test_a_follower_reads_what_the_leader_acknowledged_before() -> None:
    async def test() -> None:
        group = Group()
        leader = await group.form(3)
        for n in range(20):
            await leader.propose([b"%d" % n])
            index = await group.members[3].read()
            assert index >= leader.applied
            assert group.members[3].applied >= index
        await group.stop()

    run(test())


def test_a_member_that_was_away_for_long_is_sent_a_snapshot() -> None:
    async def test() -> None:
        group = Group()
        leader = await group.form(3)
        await group.kill(3)
        for n in range(30):
            await leader.propose([b"%d" % n])
        for _ in range(2):
            await leader.propose([b"x"])
            await leader.save_snapshot(leader.last_data, [b"all", b"of it"])
            await leader.compact(kept=2)
        await leader.propose([b"after"])
        back = await group.start(3)
        await until(lambda: back.applied == leader.applied)
        assert group.network.snapshots_sent == 1
        news = back.committed(back._loop.raft.log.base_index)
        found = await back.newest_snapshot()
        assert found is not None
        assert list(found.chunks) == [b"all", b"of it"]
        entries = await anext(news)
        assert isinstance(entries, tuple)
        assert entries[-1].data == b"after"
        await group.stop()

    run(test())


def test_a_reader_is_given_the_snapshot_that_came() -> None:
    async def test() -> None:
        group = Group()
        leader = await group.form(3)
        slow = group.members[3]
        await until(lambda: slow.applied == leader.applied)
        reader = slow.committed(slow.applied)
        waiting = asyncio.ensure_future(anext(reader))
        group.network.part([1, 2], [3])
        for _ in range(2):
            await leader.propose([b"x"])
            await leader.save_snapshot(leader.last_data, [b"whole"])
            await leader.compact(kept=0)
        await leader.propose([b"after"])
        group.network.heal()
        found = await waiting
        assert isinstance(found, SavedSnapshot)
        assert list(found.chunks) == [b"whole"]
        entries = await anext(reader)
        assert isinstance(entries, tuple)
        assert entries[-1].data == b"after"
        await group.stop()

    run(test())


def test_a_snapshot_that_is_outdated_when_it_arrives_is_followed_by_another() -> None:
    async def test() -> None:
        group = Group()
        leader = await group.form(3)
        slow = group.members[3]
        await until(lambda: slow.applied == leader.applied)

        async def grow(chunks: int) -> None:
            for _ in range(2):
                await leader.propose([b"x"])
                await leader.save_snapshot(leader.last_data, [b"chunk"] * chunks)
                await leader.compact(kept=0)

        group.network.part([1, 2], [3])
        await grow(chunks=2_000)
        group.network.heal()
        await until(lambda: slow._loop._arriving is not None)
        await grow(chunks=1)  # the log no longer reaches back to the first one
        await until(lambda: slow.applied == leader.applied)
        assert group.network.snapshots_sent == 2
        await group.stop()

    run(test())


def test_stopping_waits_for_nobody_who_keeps_talking() -> None:
    async def test() -> None:
        group = Group()
        leader = await group.form(3)
        busy = True

        async def chat() -> None:
            while busy:
                await leader.propose([b"x"])

        chatting = [asyncio.create_task(chat()) for _ in range(8)]
        await asyncio.sleep(0.05)
        before = asyncio.get_running_loop().time()
        await group.kill(3)
        assert asyncio.get_running_loop().time() - before < limits.raft_stop_s / 2
        busy = False
        await asyncio.gather(*chatting)
        await group.stop()

    run(test())


def test_a_snapshot_that_came_before_the_reader_is_given_to_it() -> None:
    async def test() -> None:
        group = Group()
        leader = await group.form(1)
        for _ in range(2):
            await leader.propose([b"x"])
            await leader.save_snapshot(leader.last_data, [EMPTY])
            await leader.compact(kept=0)
        late = await group.add(leader, 2)
        assert group.network.snapshots_sent == 1
        news = late.committed(0)
        found = await anext(news)
        assert isinstance(found, SavedSnapshot)
        assert list(found.chunks) == [EMPTY]
        await news.aclose()  # type: ignore[attr-defined]
        store = await Store.start(ReplicatedLog(late))
        assert store.index == found.mark.index
        await store.close()
        await group.stop()

    run(test())


def test_a_store_that_was_away_takes_over_the_leaders_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "log_entries_kept_for_followers", 2)

    async def test() -> None:
        group = Group()
        await group.form(3)
        leading, slow = [await Store.start(ReplicatedLog(group.members[id])) for id in (1, 3)]
        watch = slow.watch()
        group.network.part([1, 2], [3])
        for n in range(20):
            await leading.update(lambda draft, n=n: draft.put(Task(id=f"t{n}")))  # type: ignore[misc]
            if n in (10, 15):
                await leading.save_snapshot()
        group.network.heal()
        await until(lambda: slow.index == leading.index)
        assert list(slow.all(Task)) == list(leading.all(Task))
        with pytest.raises(Lagged, match="replaced what this manager held"):
            [commit async for commit in watch]
        assert await slow.barrier() == leading.index
        with pytest.raises(NotLeader):
            await slow.update(lambda draft: draft.put(Task(id="x")))
        for store in (slow, leading):
            await store.close()
        await group.stop()

    run(test())


def test_stopping_a_leader_hands_leadership_over() -> None:
    async def test() -> None:
        group = Group()
        leader = await group.form(3)
        term = leader.standing.term
        await leader.stop()
        del group.members[1]
        others = group.members.values()
        assert any(m.standing.leader not in (0, 1) for m in others)
        assert (await group.leader()).standing.term == term + 1
        with pytest.raises(LogFailed, match="closed"):
            await leader.propose([b"late"])
        await group.stop()

    run(test())


def test_a_removed_member_ends() -> None:
    async def test() -> None:
        group = Group()
        leader = await group.form(3)
        left = tuple(member for member in leader.membership.members if member.id != 3)
        await leader.change(Membership(left, leader.membership.removed))
        third = group.members[3]
        await until(lambda: third.ended)
        assert isinstance(third.failure, Removed)
        await leader.propose([b"on"])
        await group.stop()

    run(test())


def test_a_leader_that_removes_itself_ends_and_another_leads() -> None:
    async def test() -> None:
        group = Group()
        leader = await group.form(3)
        left = tuple(member for member in leader.membership.members if member.id != 1)
        await leader.change(Membership(left, leader.membership.removed))
        await until(lambda: leader.ended)
        await leader.stop()
        del group.members[1]
        await (await group.leader()).propose([b"on"])
        await group.stop()

    run(test())


def test_time_that_passed_while_the_loop_was_held_up_counts_once() -> None:
    async def test() -> None:
        group = Group()
        leader = await group.form(3)
        term = leader.standing.term
        for _ in range(3):
            time.sleep(limits.raft_tick_ms * limits.raft_election_ticks * 3 / 1000)  # noqa: ASYNC251
            await asyncio.sleep(0.05)
        await leader.propose([b"on"])
        assert leader.standing.term == term
        assert leader.stalled_ms >= limits.raft_tick_ms * limits.raft_election_ticks * 2
        await group.stop()

    run(test())
