"""Members over real ports: gRPC with certificates on both sides."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from covey import errors, limits
from covey.model.states import NodeRole
from covey.v1.raft_pb2 import Hello, RaftFrame
from covey.wire import services
from covey.wire.client import connect_control
from manager.raft.entry import Member
from manager.raft.fake import FakeDisk, MemoryDisk
from manager.raft.introductions import FORMAT
from manager.raft.ready import Role
from manager.raft.seam import Removed
from tests.support.freezing_proxy import FreezingProxy
from tests.support.pki import Authority
from tests.support.raft_group import applied, until
from tests.support.raft_wire import Wired, joined, without

pytestmark = pytest.mark.root


def run(test: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test

    asyncio.run(bounded())


class Ring:
    """Members of one group by id, on disks in memory."""

    def __init__(self) -> None:
        self.authority = Authority()
        self.members: dict[int, Wired] = {}
        self.memories: dict[int, MemoryDisk] = {}
        self.proxies: dict[int, FreezingProxy] = {}

    async def behind_proxies(self) -> Wired:
        """Found a group of three that reach each other through proxies; give the leader."""
        leader: Wired | None = None
        for id in (1, 2, 3):
            wired = await self.listen(id)
            proxy = self.proxies[id] = FreezingProxy(wired.address)
            await proxy.start()
            wired.address = proxy.address
            if leader is None:
                leader = wired
                await wired.start(FakeDisk(self.memories[id]), founding=True)
            else:
                await self.let_in(leader, id)
        assert leader is not None
        return leader

    async def let_in(self, leader: Wired, id: int) -> None:
        """Let a member that listens join as a voter."""
        wired, leading = self.members[id], leader.replica
        assert leading is not None
        wanted = joined(leading.membership, Member(id, wired.node_id, wired.address, voter=False))
        await leading.change(wanted)
        new = await wired.start(FakeDisk(self.memories[id]), introduced=wanted)
        await until(lambda: new.applied >= leading.applied)
        await leading.change(joined(wanted, Member(id, wired.node_id, wired.address)))

    async def listen(self, id: int, address: str = "127.0.0.1:0") -> Wired:
        wired = Wired(self.authority.cluster_id, self.authority.node(NodeRole.MANAGER))
        if before := self.members.get(id):
            wired = replace(before, server=None, replica=None, transport=None)
        await wired.listen(address)
        self.members[id] = wired
        self.memories.setdefault(id, MemoryDisk(id))
        return wired

    async def form(self, *ids: int) -> Wired:
        """Found a group with the first id, and let the others join as voters."""
        first = await self.listen(ids[0])
        await first.start(FakeDisk(self.memories[ids[0]]), founding=True)
        for id in ids[1:]:
            await self.listen(id)
            await self.let_in(first, id)
        return first


@asynccontextmanager
async def ring() -> AsyncIterator[Ring]:
    made = Ring()
    try:
        yield made
    finally:
        for wired in made.members.values():
            if wired.replica is not None:
                await wired.replica._loop.stop()
            await wired.stop()
        for proxy in made.proxies.values():
            await proxy.close()


def test_three_members_keep_a_log_over_tls() -> None:
    async def test() -> None:
        async with ring() as made:
            # The founder has neither the smallest nor the largest id: both sides dial.
            first = await made.form(20, 10, 30)
            leader = first.replica
            assert leader is not None
            await asyncio.gather(*(leader.propose([b"%d" % n]) for n in range(200)))
            for wired in made.members.values():
                replica = wired.replica
                assert replica is not None
                await until(lambda replica=replica: replica.applied == leader.applied)  # type: ignore[misc]
                assert await applied(replica) == [b"%d" % n for n in range(200)]
                assert await replica.read() >= leader.applied

    run(test())


def test_a_stopped_leader_is_followed_and_a_restarted_one_catches_up() -> None:
    async def test() -> None:
        async with ring() as made:
            first = await made.form(1, 2, 3)
            assert first.replica is not None
            await first.replica.propose([b"one"])
            address = first.address
            await first.stop()
            others = [made.members[2].replica, made.members[3].replica]
            await until(lambda: any(r is not None and r.standing.role is Role.LEADER for r in others))
            leader = next(r for r in others if r is not None and r.standing.role is Role.LEADER)
            await leader.propose([b"two"])
            again = await made.listen(1, address)
            back = await again.start(FakeDisk(made.memories[1]))
            await until(lambda: back.applied == leader.applied)
            assert await applied(back) == [b"one", b"two"]

    run(test())


def test_a_large_snapshot_travels_beside_the_heartbeats() -> None:
    async def test() -> None:
        async with ring() as made:
            first = await made.form(1, 2)
            leader = first.replica
            assert leader is not None
            chunk = b"s" * limits.snapshot_chunk_bytes
            for _ in range(2):
                for n in range(20):
                    await leader.propose([b"%d" % n])
                await leader.save_snapshot(leader.last_data, [chunk] * 24)
                await leader.compact(kept=0)
            term = leader.standing.term
            third = await made.listen(3)
            wanted = joined(leader.membership, Member(3, third.node_id, third.address, voter=False))
            await leader.change(wanted)
            replica = await third.start(FakeDisk(made.memories[3]), introduced=wanted)
            await until(lambda: replica.applied == leader.applied)
            found = await replica.newest_snapshot()
            assert found is not None
            assert sum(map(len, found.chunks)) == 24 * limits.snapshot_chunk_bytes
            assert leader.standing.term == term

    run(test())


def test_a_member_that_moved_is_found_again() -> None:
    async def test() -> None:
        async with ring() as made:
            first = await made.form(1, 2, 3)
            leader = first.replica
            assert leader is not None
            await made.members[3].stop()
            moved = await made.listen(3)  # another port; the larger id is not the one that dials
            back = await moved.start(FakeDisk(made.memories[3]))
            await leader.propose([b"x"])
            await until(lambda: back.applied == leader.applied)
            member = Member(3, moved.node_id, moved.address)
            await leader.change(joined(leader.membership, member))
            await until(lambda: back.membership.get(3) == member)

    run(test())


def test_a_member_removed_while_it_was_away_is_told_when_it_comes_back() -> None:
    async def test() -> None:
        async with ring() as made:
            first = await made.form(1, 2, 3)
            leader = first.replica
            assert leader is not None
            address = made.members[3].address
            await made.members[3].stop()
            await leader.change(without(leader.membership, 3))
            again = await made.listen(3, address)
            back = await again.start(FakeDisk(made.memories[3]))
            await until(lambda: back.ended)
            assert isinstance(back.failure, Removed)

    run(test())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"cluster_id": "another"}, "one of another"),
        ({"format": 0}, "upgrade yours"),
        ({"format": 9}, "upgrade this one"),
        ({"sender": 1}, "two managers run with member id 1"),
        ({"receiver": 77}, "member 77 is wanted"),
        ({"sender": 55}, "not known here"),
        ({"sender": 3}, "the certificate shown is node"),
        ({"life": 4711}, "another manager is connected as member 2"),
    ],
)
def test_a_stranger_is_refused_with_a_sentence(change: dict[str, object], sentence: str) -> None:
    async def test() -> None:
        async with ring() as made:
            first = await made.form(1, 2, 3)
            assert first.replica is not None
            second = made.members[2]
            fields: dict[str, object] = {
                "cluster_id": made.authority.cluster_id,
                "sender": 2,
                "receiver": 1,
                "address": second.address,
                "format": FORMAT,
            }
            hello = Hello(**{**fields, **change})  # type: ignore[arg-type]

            async def frames() -> AsyncIterator[RaftFrame]:
                yield RaftFrame(hello=hello)
                await asyncio.sleep(5)

            async with connect_control(first.address, second.identity) as channel:
                with pytest.raises(errors.CoveyError, match=sentence):
                    await anext(channel.talk(services.Raft.replicate, frames(), 5))

    run(test())


def test_a_worker_cannot_take_part() -> None:
    async def test() -> None:
        async with ring() as made:
            first = await made.form(1)
            worker = made.authority.node(NodeRole.WORKER)

            async def frames() -> AsyncIterator[RaftFrame]:
                yield RaftFrame()

            async with connect_control(first.address, worker) as channel:
                with pytest.raises(errors.PermissionDenied, match="is for manager"):
                    await anext(channel.talk(services.Raft.replicate, frames(), 5))

    run(test())


def test_a_cut_cable_is_noticed_and_mended_connections_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "raft_keepalive_ms", 200)
    monkeypatch.setattr(limits, "raft_silence_ms_max", 700)

    async def test() -> None:
        async with ring() as made:
            first = await made.behind_proxies()
            old = first.replica
            assert old is not None
            await old.propose([b"before"])
            # All ways to and from member 1: it dials the others, by their proxies, and they it.
            for proxy in made.proxies.values():
                proxy.freeze()
            await until(lambda: old.standing.role is not Role.LEADER)
            with pytest.raises(errors.NotLeader):
                await old.propose([b"meanwhile"])
            await asyncio.sleep(1)
            for proxy in made.proxies.values():
                proxy.thaw()
            replicas = [wired.replica for wired in made.members.values() if wired.replica is not None]
            await until(lambda: any(r.standing.role is Role.LEADER for r in replicas))
            leader = max(replicas, key=lambda r: (r.standing.role is Role.LEADER, r.standing.term))
            await leader.propose([b"after"])
            await until(lambda: all(r.applied == leader.applied for r in replicas))
            assert await applied(old) == [b"before", b"after"]

    run(test())
