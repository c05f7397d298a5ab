"""What every transport owes a member, held against every make."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from covey import errors
from covey.model.states import NodeRole
from manager.raft.entry import Entry, Member, Membership, SnapshotMark
from manager.raft.io.loopback import LoopbackTransport, Network
from manager.raft.messages import AnyMessage, Append, Heartbeat, Install
from manager.raft.seam import SavedSnapshot, Transport
from tests.support.pki import Authority
from tests.support.raft_group import until
from tests.support.raft_wire import Wired

pytestmark = pytest.mark.root


class Noted:
    """An inbox that keeps what came in."""

    def __init__(self) -> None:
        self.received: list[AnyMessage] = []
        self.gone: list[int] = []
        self.told: list[str] = []
        self.snapshots: list[tuple[Install, list[bytes]]] = []
        self.full = False

    def receive(self, message: AnyMessage) -> None:
        self.received.append(message)

    def lost(self, peer: int) -> None:
        self.gone.append(peer)

    def removed(self, reason: str) -> None:
        self.told.append(reason)

    async def stage(self, install: Install, chunks: AsyncIterable[bytes]) -> None:
        whole = [chunk async for chunk in chunks]
        if self.full:
            raise errors.ResourceExhausted("no space left")
        self.snapshots.append((install, whole))


class Party:
    """Two members and their transports."""

    def __init__(self, members: list[Member], transports: list[Transport]) -> None:
        self.members = members
        self.transports = transports
        self.inboxes = [Noted(), Noted()]
        for member, transport, inbox in zip(members, transports, self.inboxes, strict=True):
            transport.start(member, inbox)

    async def meet(self) -> None:
        """Make them each other's peers, and wait until both can be heard."""
        for n, transport in enumerate(self.transports):
            transport.set_peers([self.members[1 - n]])
        await until(self._heard)
        await asyncio.sleep(0.05)
        for inbox in self.inboxes:
            inbox.received.clear()

    def _heard(self) -> bool:
        for n in (0, 1):
            if not self.inboxes[1 - n].received:
                self.transports[n].send([self.beat(n)])
        return all(inbox.received for inbox in self.inboxes)

    def beat(self, sender: int, commit: int = 0) -> Heartbeat:
        return Heartbeat(sender=sender + 1, to=2 - sender, term=1, commit=commit)


Make = Callable[[], AbstractAsyncContextManager[Party]]


@asynccontextmanager
async def over_loopback() -> AsyncIterator[Party]:
    network = Network()
    transports = [LoopbackTransport(network), LoopbackTransport(network)]
    party = Party([Member(1, "n1", "a1:1"), Member(2, "n2", "a2:1")], [*transports])
    yield party
    for transport in transports:
        await transport.close()


@asynccontextmanager
async def over_grpc() -> AsyncIterator[Party]:
    authority = Authority()
    wired = [Wired(authority.cluster_id, authority.node(NodeRole.MANAGER)) for _ in range(2)]
    for each in wired:
        await each.listen()
    members = [Member(n + 1, each.node_id, each.address) for n, each in enumerate(wired)]
    transports = [each.transport for each in wired if each.transport is not None]
    yield Party(members, [*transports])
    for transport in transports:
        await transport.close()
    for each in wired:
        await each.stop()


@pytest.fixture(params=[over_loopback, over_grpc], ids=["loopback", "grpc"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


def run(test: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test

    asyncio.run(bounded())


def test_messages_arrive_whole(make: Make) -> None:
    async def test() -> None:
        async with make() as party:
            await party.meet()
            entries = tuple(Entry(n, 1, data=bytes(n)) for n in range(1, 50))
            large = Append(
                sender=1, to=2, term=1, previous_index=0, previous_term=0, commit=0, entries=entries
            )
            party.transports[0].send([large, party.beat(0, 7)])
            party.transports[1].send([party.beat(1, 9)])
            await until(lambda: len(party.inboxes[1].received) == 2 and bool(party.inboxes[0].received))
            assert {type(message) for message in party.inboxes[1].received} == {Append, Heartbeat}
            assert large in party.inboxes[1].received
            assert party.inboxes[0].received == [party.beat(1, 9)]

    run(test())


def test_what_is_for_strangers_is_dropped(make: Make) -> None:
    async def test() -> None:
        async with make() as party:
            party.transports[0].send([party.beat(0)])
            await party.meet()
            party.transports[0].set_peers([])
            party.transports[0].send([party.beat(0)])
            await asyncio.sleep(0.05)
            assert party.inboxes[1].received == []

    run(test())


def test_the_other_one_hears_when_a_member_goes(make: Make) -> None:
    async def test() -> None:
        async with make() as party:
            await party.meet()
            await party.transports[0].close()
            await until(lambda: party.inboxes[1].gone == [1])

    run(test())


def test_a_snapshot_arrives_whole(make: Make) -> None:
    async def test() -> None:
        async with make() as party:
            await party.meet()
            mark = SnapshotMark(9, 2, Membership((party.members[0],), (5,)))
            chunks = [b"a" * 3_000_000, b"", b"b"]
            await party.transports[0].send_snapshot(2, 4, SavedSnapshot(mark, iter(chunks)))
            install, whole = party.inboxes[1].snapshots[0]
            assert install == Install(sender=1, to=2, term=4, mark=mark)
            assert b"".join(whole) == b"".join(chunks)

    run(test())


def test_a_snapshot_that_breaks_off_is_not_taken(make: Make) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"first"
        raise errors.Corrupt("chunk 2 is damaged")

    async def test() -> None:
        async with make() as party:
            await party.meet()
            broken = SavedSnapshot(SnapshotMark(9, 2), breaking())
            with pytest.raises(errors.Corrupt):
                await party.transports[0].send_snapshot(2, 4, broken)
            await asyncio.sleep(0.05)
            assert party.inboxes[1].snapshots == []
            await party.transports[0].send_snapshot(2, 4, SavedSnapshot(SnapshotMark(9, 2), [b"x"]))
            assert len(party.inboxes[1].snapshots) == 1

    run(test())


def test_a_refused_snapshot_is_heard_of(make: Make) -> None:
    async def test() -> None:
        async with make() as party:
            await party.meet()
            party.inboxes[1].full = True
            snapshot = SavedSnapshot(SnapshotMark(9, 2), [b"x"])
            with pytest.raises(errors.ResourceExhausted, match="no space"):
                await party.transports[0].send_snapshot(2, 4, snapshot)

    run(test())


def test_a_snapshot_for_nobody_is_an_error(make: Make) -> None:
    async def test() -> None:
        async with make() as party:
            snapshot = SavedSnapshot(SnapshotMark(9, 2), [b"x"])
            with pytest.raises(errors.Unavailable, match="member 3"):
                await party.transports[0].send_snapshot(3, 4, snapshot)

    run(test())


def test_a_removed_member_is_told(make: Make) -> None:
    async def test() -> None:
        async with make() as party:
            await party.meet()
            party.transports[1].set_peers([], {1})

            def told() -> bool:
                party.transports[0].send([party.beat(0)])
                return bool(party.inboxes[0].told)

            await until(told)
            assert "member 1" in party.inboxes[0].told[0]

    run(test())
