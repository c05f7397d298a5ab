"""The session's stream over gRPC: dialling, and translating between structs and messages."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from pathlib import Path

import msgspec
from google.protobuf.message import Message

from covey import limits
from covey.errors import CoveyError
from covey.model.assignments import Assignments
from covey.model.objects import NodeDescription
from covey.model.tables import NetworkTable, NetworkTableDelta
from covey.v1.dispatcher_pb2 import AgentMessage, ManagerMessage
from covey.v1.node_pb2 import FollowMembershipRequest
from covey.wire.client import Channel, connect_unix
from covey.wire.codec import from_message, to_message
from covey.wire.services import Dispatcher, NodeDaemon

from .events import Connected, Disconnected, Heard
from .messages import (
    Alive,
    AuditAnswer,
    AuditQuestion,
    Down,
    Heartbeat,
    LogSubscription,
    Membership,
    Redirect,
    Register,
    SessionStarted,
    StatusAcknowledged,
    StatusReport,
    TablesApplied,
    Up,
    Withdrawn,
)

UP: dict[type[Up], str] = {
    Register: "register",
    Heartbeat: "heartbeat",
    StatusReport: "status_report",
    TablesApplied: "tables_applied",
    NodeDescription: "description",
    AuditAnswer: "audit_answer",
}
DOWN: dict[str, type[Down]] = {
    "session_started": SessionStarted,
    "status_acknowledged": StatusAcknowledged,
    "assignments": Assignments,
    "table": NetworkTable,
    "table_delta": NetworkTableDelta,
    "log_subscription": LogSubscription,
    "redirect": Redirect,
    "alive": Alive,
    "membership": Membership,
    "withdrawn": Withdrawn,
    "audit_question": AuditQuestion,
}
_UP_MESSAGES = {name: type(getattr(AgentMessage(), name)) for name in UP.values()}


async def tell_coveyd(socket: Path, membership: Membership) -> None:
    """Have this host's coveyd follow; raises what it answers, `Unavailable` if it does not in time."""
    request = to_message(membership, FollowMembershipRequest)
    async with connect_unix(socket) as channel:
        await channel.call(NodeDaemon.follow_membership, request, limits.membership_timeout_s)


Spawn = Callable[[Coroutine[None, None, None], str], asyncio.Task[None]]
Post = Callable[[Connected | Disconnected | Heard], None]


def encode(message: Up) -> AgentMessage:
    """Wrap what the agent says."""
    name = UP[type(message)]
    parts: dict[str, Message] = {name: to_message(message, _UP_MESSAGES[name])}
    return AgentMessage(**parts)  # type: ignore[arg-type]


def decode(message: ManagerMessage) -> Down | None:
    """Unwrap what a manager says; None if it is a kind of message that this version does not know."""
    name = message.WhichOneof("kind")
    if name is None:
        return None
    struct: msgspec.Struct = from_message(getattr(message, name), DOWN[name])
    return struct  # type: ignore[return-value]


class Streams:
    """The agent's streams to managers, by number; in practice one, and the one before it ending.

    `connect` gives a channel to the manager at an address; `spawn` runs a stream, and is to cancel it when
    the agent ends.
    """

    def __init__(self, connect: Callable[[str], Channel], spawn: Spawn, post: Post) -> None:
        self._connect = connect
        self._spawn = spawn
        self._post = post
        self._outgoing: dict[int, asyncio.Queue[Up]] = {}
        self._running: dict[int, asyncio.Task[None]] = {}

    def dial(self, number: int, address: str) -> None:
        """Open stream `number`; Connected or Disconnected follows."""
        self._outgoing[number] = asyncio.Queue()
        task = self._spawn(self._run(number, address), f"session {number}")
        self._running[number] = task
        task.add_done_callback(lambda _: self._forget(number))

    def send(self, number: int, message: Up) -> None:
        """Send on the stream, after what was sent before; nothing happens if it is gone."""
        if number in self._outgoing:
            self._outgoing[number].put_nowait(message)

    def hang_up(self, number: int) -> None:
        """Close the stream."""
        if number in self._running:
            self._running[number].cancel()

    def _forget(self, number: int) -> None:
        del self._outgoing[number], self._running[number]

    async def _run(self, number: int, address: str) -> None:
        reason = f"{address} ended the session"
        try:
            async with self._connect(address) as channel:
                self._post(Connected(number))
                async with aclosing(channel.talk(Dispatcher.session, self._source(number))) as talk:
                    async for message in talk:
                        heard = decode(message)
                        if heard is not None:
                            self._post(Heard(number, heard))
        except (CoveyError, OSError) as error:
            reason = str(error)
        self._post(Disconnected(number, reason))

    async def _source(self, number: int) -> AsyncIterator[AgentMessage]:
        outgoing = self._outgoing[number]
        while True:
            yield encode(await outgoing.get())
