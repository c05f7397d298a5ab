"""The Raft service: streams and snapshots that other members bring."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

import msgspec

from covey import errors, limits
from covey.v1.raft_pb2 import (
    Hello,
    JoinRaftRequest,
    JoinRaftResponse,
    RaftFrame,
    SendSnapshotResponse,
    SnapshotPiece,
)
from covey.wire import services
from covey.wire.service import Binding, Caller, bind

from .client import GrpcTransport
from .entry import SnapshotMark
from .introductions import Introduction
from .messages import Install

Frame = TypeVar("Frame", RaftFrame, SnapshotPiece)
JoinRaft = Callable[[JoinRaftRequest, Caller], Awaitable[JoinRaftResponse]]
_mark = msgspec.msgpack.Decoder(SnapshotMark)


class RaftServer:
    """Serves a transport's other side. Who joins is not its business: `join` is."""

    def __init__(self, transport: GrpcTransport, join: JoinRaft) -> None:
        self._transport = transport
        self._join = join

    def bindings(self) -> list[Binding]:
        """Give the service's methods."""
        return [
            bind(services.Raft.replicate, self._replicate),
            bind(services.Raft.send_snapshot, self._send_snapshot),
            bind(services.Raft.join_raft, self._join),
        ]

    async def _replicate(
        self, requests: AsyncIterable[RaftFrame], caller: Caller
    ) -> AsyncIterator[RaftFrame]:
        frames = aiter(requests)
        hello = (await _first(frames)).hello
        known = self._transport.known
        if known is not None and hello.cluster_id == known.cluster_id and hello.sender in known.removed:
            yield RaftFrame(hello=Hello(removed=True))
            return
        session = self._transport.admit(hello, caller.node_id)
        session.reader = asyncio.create_task(self._transport.read(session, frames), name="covey-raft-read")
        session.reader.add_done_callback(lambda _: session.close())
        try:
            async with aclosing(self._transport.frames(session)) as answers:
                async for frame in answers:
                    yield frame
            if session.reader.done() and not session.reader.cancelled():
                session.reader.result()  # what it complained of, the other side hears
        finally:
            self._transport.leave(session)
            await asyncio.wait([session.reader])

    async def _send_snapshot(
        self, requests: AsyncIterable[SnapshotPiece], caller: Caller
    ) -> SendSnapshotResponse:
        pieces = aiter(requests)
        head = await _first(pieces)
        known = self._transport.known
        if known is None:
            raise errors.Unavailable("this manager is starting")
        known.check(Introduction(head.cluster_id, head.sender, head.receiver, caller.node_id, head.format))
        try:
            mark = _mark.decode(head.mark)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise errors.PeerFault(f"the snapshot's mark cannot be read: {error}") from error
        install = Install(sender=head.sender, to=head.receiver, term=head.term, mark=mark)
        await self._transport.inbox.stage(install, _chunks(pieces))
        return SendSnapshotResponse()


async def _first(frames: AsyncIterator[Frame]) -> Frame:
    try:
        async with asyncio.timeout(limits.raft_hello_timeout_ms / 1000):
            return await anext(frames)
    except (TimeoutError, StopAsyncIteration) as error:
        raise errors.PeerFault("the stream says nothing of who opened it") from error


async def _chunks(pieces: AsyncIterator[SnapshotPiece]) -> AsyncIterator[bytes]:
    """Give what a snapshot's pieces hold; raises `Unavailable` if it is cut off, or does not go on."""
    while True:
        try:
            async with asyncio.timeout(limits.raft_snapshot_idle_s):
                piece = await anext(pieces)
        except StopAsyncIteration:
            raise errors.Unavailable("the snapshot was cut off half way") from None
        except TimeoutError as error:
            raise errors.Unavailable(
                f"no piece of the snapshot came for {limits.raft_snapshot_idle_s:g} s"
            ) from error
        if piece.last:
            return
        yield piece.data
