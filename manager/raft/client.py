"""The way to the other members over gRPC: streams that are made anew when they break, and snapshots."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import aclosing
from random import Random, SystemRandom
from typing import Any

import msgspec

from covey import errors, limits
from covey.identity import NodeIdentity
from covey.v1.raft_pb2 import Hello, RaftFrame, SnapshotPiece
from covey.wire import services
from covey.wire.client import Channel, connect_control

from . import messages
from .entry import Member
from .introductions import FORMAT, Acquaintances, Introduction
from .messages import AnyMessage
from .seam import Inbox, SavedSnapshot
from .session import Session

_log = logging.getLogger(__name__)
_mark = msgspec.msgpack.Encoder()


class _Peer:
    """Another member, the streams there are to it, and the task that sees to it that there is one."""

    def __init__(self, member: Member, missed_since: float) -> None:
        self.member = member
        self.sessions: list[Session] = []
        self.missed_since = missed_since
        self.told_address = ""  # where the peer itself says it is
        self.told_reason = ""  # why it could not be reached, as the journal knows it
        self.dialling: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """Where it is."""
        return self.told_address or self.member.address


class GrpcTransport:
    """A `Transport`. `RaftServer` (server.py) hands it the streams that others open."""

    def __init__(
        self, cluster_id: str, identity: Callable[[], NodeIdentity], dice: Random | None = None
    ) -> None:
        self._cluster_id = cluster_id
        self._identity = identity
        self._dice = dice or SystemRandom()
        self.life = self._dice.getrandbits(62) + 1
        self._peers: dict[int, _Peer] = {}
        self.known: Acquaintances | None = None
        self._inbox: Inbox | None = None
        self._watching: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    # --- the seam ---

    def start(self, own: Member, inbox: Inbox) -> None:
        """Begin to deliver."""
        self.known = Acquaintances(self._cluster_id, own, {})
        self._inbox = inbox
        self._watching = asyncio.create_task(self._watch(), name="covey-raft-watch")

    def set_peers(self, members: Sequence[Member], removed: Collection[int] = ()) -> None:
        """Learn who the others are and where."""
        assert self.known is not None, "started"
        others = {member.id: member for member in members}
        self.known = Acquaintances(self._cluster_id, self.known.own, others, frozenset(removed))
        for gone in self._peers.keys() - others.keys():
            self._part(self._peers.pop(gone))
        for id, member in others.items():
            peer = self._peers.get(id)
            if peer is None:
                peer = self._peers[id] = _Peer(member, self._loop.time())
                peer.dialling = asyncio.create_task(self._dial(peer), name=f"covey-raft-dial-{id}")
            elif member.address != peer.member.address:
                peer.told_address = ""
            peer.member = member

    def send(self, messages: Sequence[AnyMessage]) -> None:
        """Send on the newest stream to each peer; where there is none, drop."""
        by_peer: dict[int, list[AnyMessage]] = {}
        for message in messages:
            by_peer.setdefault(message.to, []).append(message)
        for id, own in by_peer.items():
            peer = self._peers.get(id)
            if peer is not None and peer.sessions:
                peer.sessions[-1].send(own)

    async def send_snapshot(self, to: int, term: int, snapshot: SavedSnapshot) -> None:
        """Stream a snapshot on a connection of its own, so that nothing else waits behind it."""
        peer, known = self._peers.get(to), self.known
        if peer is None or known is None:
            raise errors.Unavailable(f"member {to} is none of ours (any more)")
        head = SnapshotPiece(
            cluster_id=self._cluster_id,
            sender=known.own.id,
            receiver=to,
            term=term,
            mark=_mark.encode(snapshot.mark),
            format=FORMAT,
        )
        async with connect_control(peer.address, self._identity()) as channel:
            pieces = _pieces(head, snapshot.chunks)
            await channel.send(services.Raft.send_snapshot, pieces, limits.raft_snapshot_timeout_s)

    async def close(self) -> None:
        """End all streams, once what is under way had a moment to leave."""
        for _ in range(20):
            if not any(session.waiting for peer in self._peers.values() for session in peer.sessions):
                break
            await asyncio.sleep(limits.raft_linger_ms / 20_000)
        tasks = [peer.dialling for peer in self._peers.values()] + [self._watching]
        for peer in self._peers.values():
            self._part(peer)
        self._peers.clear()
        self._inbox = None
        if self._watching is not None:
            self._watching.cancel()
        if running := [task for task in tasks if task is not None and not task.done()]:
            await asyncio.wait(running)

    def silent_s(self, id: int) -> float | None:
        """How long ago a peer was last heard; None where there is no stream to it."""
        peer = self._peers.get(id)
        if peer is None or not peer.sessions:
            return None
        return self._loop.time() - max(session.heard for session in peer.sessions)

    # --- streams, whoever opened them ---

    @property
    def inbox(self) -> Inbox:
        """Where to deliver; raises `Unavailable` when there is nowhere."""
        if self._inbox is None:
            raise errors.Unavailable("this manager is stopping")
        return self._inbox

    def hello(self, receiver: int) -> Hello:
        """Introduce this member."""
        assert self.known is not None, "started"
        own = self.known.own
        return Hello(
            cluster_id=self._cluster_id,
            sender=own.id,
            receiver=receiver,
            address=own.address,
            format=FORMAT,
            life=self.life,
        )

    def admit(self, hello: Hello, node_id: str) -> Session:
        """Take a stream that a member opened; raises the reason if it is not to be had."""
        if self.known is None:
            raise errors.Unavailable("this manager is starting")
        met = Introduction(hello.cluster_id, hello.sender, hello.receiver, node_id, hello.format)
        self.known.check(met)
        peer = self._peers[hello.sender]
        recently = self._loop.time() - limits.raft_keepalive_ms * 1.5 / 1000
        if any(session.life != hello.life and session.heard > recently for session in peer.sessions):
            raise errors.FailedPrecondition(
                f"another manager is connected as member {hello.sender}: two run with the same state, one of "
                "them on a copy; stop one, delete its STATE/manager, and let it join again"
            )
        return self._enter(peer, Session(hello.sender, hello.life, self._loop.time()), hello)

    def _enter(self, peer: _Peer, session: Session, hello: Hello) -> Session:
        session.life = hello.life
        if hello.address != peer.address:
            _log.info("member %s is at %s now, no more at %s", session.peer, hello.address, peer.address)
            peer.told_address = hello.address if hello.address != peer.member.address else ""
        peer.sessions.append(session)
        peer.told_reason = ""
        _log.info("connected with member %s at %s", session.peer, peer.address)
        return session

    def leave(self, session: Session) -> None:
        """A stream has ended."""
        session.close()
        peer = self._peers.get(session.peer)
        if peer is None or session not in peer.sessions:
            return
        peer.sessions.remove(session)
        if not peer.sessions:
            peer.missed_since = self._loop.time()
            _log.info("no connection with member %s any more", session.peer)
            if self._inbox is not None:
                self._inbox.lost(session.peer)

    async def frames(self, session: Session) -> AsyncGenerator[RaftFrame, None]:
        """Give what goes out on a stream, beginning with who we are."""
        yield RaftFrame(hello=self.hello(session.peer))
        while not session.closed:
            session.news.clear()
            data = session.take(self._loop.time())
            if data is None:
                await session.news.wait()
            else:
                yield RaftFrame(messages=data)

    async def read(self, session: Session, frames: AsyncIterator[RaftFrame]) -> None:
        """Deliver what comes in on a stream, until it ends."""
        async for frame in frames:
            session.heard = self._loop.time()
            if not frame.messages:
                continue
            try:
                arrived = messages.decode(frame.messages)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise errors.PeerFault(f"member {session.peer} sends what cannot be read: {error}") from error
            for message in arrived:
                if message.sender != session.peer:
                    raise errors.PeerFault(f"member {session.peer} speaks for member {message.sender}")
                self.inbox.receive(message)

    def _part(self, peer: _Peer) -> None:
        if peer.dialling is not None:
            peer.dialling.cancel()
        for session in peer.sessions:
            session.close()

    # --- streams we open ---

    async def _dial(self, peer: _Peer) -> None:
        """See to it that there is a stream to a peer, for as long as it is one."""
        pause_ms = limits.raft_reconnect_ms_min
        while True:
            if self._is_ours_to_dial(peer):
                began = self._loop.time()
                try:
                    await self._talk(peer)
                except (errors.CoveyError, OSError) as error:
                    self._complain(peer, error)
                except Exception:  # noqa: BLE001 -- whatever it is, it is tried again
                    _log.exception("talking to member %s failed for a reason nobody foresaw", peer.member.id)
                if self._loop.time() - began > limits.raft_silence_ms_max / 1000:
                    pause_ms = limits.raft_reconnect_ms_min
            await asyncio.sleep(self._dice.uniform(limits.raft_reconnect_ms_min, pause_ms) / 1000)
            pause_ms = min(2 * pause_ms, limits.raft_reconnect_ms_max)

    def _is_ours_to_dial(self, peer: _Peer) -> bool:
        """The smaller id dials; and the other one, too, after a while without any stream.

        For the smaller one may not know where to dial, or that it was removed.
        """
        if peer.sessions:
            return False
        assert self.known is not None, "started"
        missed_s = self._loop.time() - peer.missed_since
        return self.known.own.id < peer.member.id or missed_s > limits.raft_silence_ms_max / 1000

    async def _talk(self, peer: _Peer) -> None:
        """Open a stream, and use it until it breaks."""
        session = Session(peer.member.id, 0, self._loop.time())
        async with connect_control(peer.address, self._identity()) as channel:
            try:
                await self._talk_on(channel, peer, session)
            finally:
                self.leave(session)

    async def _talk_on(self, channel: Channel, peer: _Peer, session: Session) -> None:
        async with aclosing(channel.talk(services.Raft.replicate, self.frames(session))) as replies:
            try:
                async with asyncio.timeout(limits.raft_hello_timeout_ms / 1000):
                    first = await anext(replies, RaftFrame())
            except TimeoutError as error:
                raise errors.Unavailable(f"{peer.address} does not answer") from error
            if first.hello.removed:
                own = self.hello(0)
                self.inbox.removed(
                    f"this manager (member {own.sender}) was removed from the cluster's managers, says {peer.address}"
                )
                return
            if first.hello.sender != session.peer:
                raise errors.PeerFault(f"{peer.address} is member {first.hello.sender}, not {session.peer}")
            self._enter(peer, session, first.hello)
            session.reader = asyncio.create_task(self.read(session, replies), name="covey-raft-read")
            try:
                await asyncio.wait([session.reader])
            finally:
                session.close()
                await asyncio.wait([session.reader])  # it reads `replies`, which cannot be closed before
            if not session.reader.cancelled() and (failure := session.reader.exception()) is not None:
                raise failure

    def _complain(self, peer: _Peer, error: Exception) -> None:
        if str(error) != peer.told_reason:
            peer.told_reason = str(error)
            _log.warning("no connection with member %s at %s: %s", peer.member.id, peer.address, error)

    async def _watch(self) -> None:
        """Give signs of life, and give up streams on which none come in."""
        while True:
            await asyncio.sleep(limits.raft_keepalive_ms / 4000)
            now = self._loop.time()
            for peer in self._peers.values():
                for session in peer.sessions:
                    if now - session.heard > limits.raft_silence_ms_max / 1000:
                        _log.warning("member %s is silent; its connection is made anew", session.peer)
                        session.close()
                    elif now - session.said > limits.raft_keepalive_ms * 0.7 / 1000:
                        session.greet()


async def _pieces(head: SnapshotPiece, chunks: Iterable[bytes]) -> AsyncIterator[SnapshotPiece]:
    """Give a snapshot's pieces; chunks are read in another thread."""
    yield head
    reading: Any = iter(chunks)
    while (chunk := await asyncio.to_thread(next, reading, None)) is not None:
        yield SnapshotPiece(data=chunk)
    yield SnapshotPiece(last=True)
