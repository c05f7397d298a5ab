"""Runs the dispatcher's machine: one queue of events in, effects performed in order.

Writes are done by one task, in the order asked for and many at a time, so that a slow disk delays no
heartbeat; their outcome comes back as an event.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from covey import limits
from covey.errors import Conflict, ResourceExhausted
from covey.io.clock import now_ms
from covey.machine import Tick
from covey.v1 import objects_pb2, types_pb2
from covey.v1.dispatcher_pb2 import (
    Alive,
    ManagerMessage,
    Membership,
    Redirect,
    SessionStarted,
    StatusAcknowledged,
    Withdrawn,
)
from covey.wire.codec import to_message
from manager.dispatcher.encoding import Encoder
from manager.dispatcher.events import (
    Acknowledge,
    AnswerAlive,
    Committed,
    Effect,
    EndSession,
    Event,
    ManagersChanged,
    Send,
    StartSession,
    StatusesWritten,
    TellMembership,
    TellWithdrawn,
    WriteNode,
    WriteStatuses,
)
from manager.dispatcher.followed import Followed, followed
from manager.dispatcher.sessions import Sessions
from manager.dispatcher.writes import parts, write_node, write_statuses
from manager.store.draft import Draft
from manager.store.driver import Store
from manager.store.watch import Lagged

log = logging.getLogger(__name__)


class Outbox:
    """The messages one session's stream still has to send; bounded, so that a stuck agent costs little."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[ManagerMessage | None] = asyncio.Queue()
        self._ended = False
        self.reason = ""

    def put(self, message: ManagerMessage) -> None:
        """Queue a message; ends the stream of an agent that is too far behind to be worth waiting for."""
        if self._ended:
            return
        if self._queue.qsize() >= limits.session_queue_messages_max:
            self._queue = asyncio.Queue()  # whoever reads it is busy sending, or it would not be full
            self.end(f"the agent is {limits.session_queue_messages_max} messages behind; it will start anew")
        else:
            self._queue.put_nowait(message)

    def end(self, reason: str) -> None:
        """Have the stream end once what is queued has been sent; the first word counts."""
        if not self._ended:
            self._ended, self.reason = True, reason
            self._queue.put_nowait(None)

    async def next(self) -> ManagerMessage | None:
        """Wait for the next message; None means the stream is to end."""
        return await self._queue.get()


class Writes:
    """What waits to be committed, in order. A node is written once for all that was said of it meanwhile.

    So an agent that describes itself again and again costs no more than one that does so once.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, WriteNode] = {}
        self._statuses: list[WriteStatuses] = []
        self._news = asyncio.Event()

    def put(self, write: WriteNode | WriteStatuses) -> None:
        """Add a write."""
        if isinstance(write, WriteStatuses):
            self._statuses.append(write)
        elif (before := self._nodes.get(write.node_id)) is None:
            self._nodes[write.node_id] = write
        else:
            self._nodes[write.node_id] = WriteNode(
                write.node_id,
                write.state,
                write.message,
                write.address or before.address,
                before.description if write.description is None else write.description,
            )
        self._news.set()

    async def take(self) -> list[WriteNode | WriteStatuses]:
        """Wait until there is something, and give all there is."""
        await self._news.wait()
        self._news.clear()
        batch: list[WriteNode | WriteStatuses] = [*self._nodes.values(), *self._statuses]
        self._nodes, self._statuses = {}, []
        return batch


class Dispatcher:
    """The dispatcher of a manager that leads, for as long as it does: made with its term, and ended with it.

    `managers` gives the control addresses of all managers, the leader's first.
    """

    def __init__(self, store: Store, managers: Callable[[], tuple[str, ...]], vxlan_port: int) -> None:
        self._store = store
        self._managers = managers
        self._vxlan_port = vxlan_port
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._writes = Writes()
        self._outboxes: dict[str, Outbox] = {}
        self._encoder = Encoder()
        # The machine reads the store as it is now; the watch, opened in the same breath, misses nothing after.
        self._watch = store.watch()
        self.machine = Sessions(store, managers())

    def open(self, session_id: str) -> Outbox:
        """Make the outbox of a new session; its `Registered` event is the caller's to post."""
        self._outboxes[session_id] = outbox = Outbox()
        return outbox

    def close(self, session_id: str) -> None:
        """Forget the outbox of a session whose stream has ended."""
        self._outboxes.pop(session_id, None)

    def post(self, event: Event) -> None:
        """Hand the machine an event."""
        self._events.put_nowait(event)

    async def room(self) -> None:
        """Wait while there is more to be heard than is good: whoever floods us waits too."""
        while self._events.qsize() >= limits.dispatcher_events_max:  # noqa: ASYNC110  rare, and short
            await asyncio.sleep(limits.turn_ms / 1000)

    def tell(self, node_id: str, message: ManagerMessage) -> bool:
        """Send a message of somebody else's to a node's agent; False if it has no session here."""
        session_id = self.session_of(node_id)
        if not session_id:
            return False
        self._send(session_id, message)
        return True

    def session_of(self, node_id: str) -> str:
        """Return the id of a node's session, if one has started here; else an empty one."""
        return self.machine.session_of(node_id)

    def followed(self, network_id: str) -> Followed:
        """Tell which nodes follow which version of a network's table."""
        return followed(self.machine, network_id)

    async def run(self) -> None:
        """Run until cancelled or broken."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_store())
                group.create_task(self._write())
                group.create_task(self._drive())
        finally:
            self._watch.close()

    def send_elsewhere(self, redirect: Redirect) -> None:
        """End every session: this manager leads no more. Agents keep what is not acknowledged, and go on."""
        for outbox in self._outboxes.values():
            outbox.put(ManagerMessage(redirect=redirect))
            outbox.end("")

    async def _follow_store(self) -> None:
        while True:
            try:
                async for commit in self._watch:
                    self.post(Committed(commit))
                return
            except Lagged as error:
                log.warning("all sessions start anew: %s", error)
                self._start_anew()

    def _start_anew(self) -> None:
        """Read the store again. What agents were told is not known any more, so all of them are told again."""
        for outbox in self._outboxes.values():
            outbox.end("this manager lost track of what it has told; register again")
        self._watch.close()
        self._watch = self._store.watch()
        self.machine = Sessions(self._store, self._managers())

    async def _drive(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._wait_s()):
                    self._step(await self._events.get())
            except TimeoutError:
                pass
            begun_s = time.monotonic()
            while not self._events.empty():
                self._step(self._events.get_nowait())
                if time.monotonic() - begun_s > limits.turn_ms / 1000:
                    await asyncio.sleep(0)
                    begun_s = time.monotonic()
            if (managers := self._managers()) != self.machine.managers:
                self._step(ManagersChanged(managers))
            self._step(Tick(now_ms()))
            self._encoder.forget(now_ms())

    def _wait_s(self) -> float:
        """How long the machine can be left alone; agents hear of other managers at most that late."""
        wait_ms = self.machine.liveness.period_ms / 2
        if (due_ms := self.machine.flush_at_ms) is not None:
            wait_ms = min(wait_ms, due_ms - now_ms())
        return max(0.0, wait_ms / 1000)

    def _step(self, event: Event | Tick) -> None:
        for effect in self.machine.step(event):
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case WriteNode() | WriteStatuses():
                self._writes.put(effect)
            case EndSession(session_id, reason):
                log.info("session %s ends: %s", session_id, reason)
                if (outbox := self._outboxes.get(session_id)) is not None:
                    outbox.end(reason)
            case _:
                self._send(effect.session_id, self._message(effect))

    def _message(
        self, effect: StartSession | AnswerAlive | TellMembership | TellWithdrawn | Acknowledge | Send
    ) -> ManagerMessage:
        match effect:
            case StartSession(session_id, period_ms, version, managers):
                started = SessionStarted(
                    session_id=session_id,
                    heartbeat_period_ms=period_ms,
                    version=to_message(version, objects_pb2.ClusterVersion),
                    managers=managers,
                    vxlan_port=self._vxlan_port,
                )
                return ManagerMessage(session_started=started)
            case AnswerAlive():
                return ManagerMessage(alive=Alive())
            case TellMembership(_, role, managers):
                membership = Membership(role=types_pb2.NodeRole.Name(role), managers=managers)
                return ManagerMessage(membership=membership)
            case TellWithdrawn(_, task_ids):
                return ManagerMessage(withdrawn=Withdrawn(task_ids=task_ids))
            case Acknowledge(_, sequence):
                return ManagerMessage(status_acknowledged=StatusAcknowledged(sequence=sequence))
            case Send(_, message):
                return self._encoder.encode(message, now_ms())

    def _send(self, session_id: str, message: ManagerMessage) -> None:
        if (outbox := self._outboxes.get(session_id)) is not None:
            outbox.put(message)

    async def _write(self) -> None:
        """Commit what the machine asks for, all that has gathered at once."""
        while True:
            batch = await self._writes.take()
            for part in parts(batch):
                await self._commit(part)
            done = [pair for item in batch if isinstance(item, WriteStatuses) for pair in item.acknowledged]
            if done:
                self.post(StatusesWritten(tuple(done)))

    async def _commit(self, part: Sequence[WriteNode | WriteStatuses]) -> None:
        """Commit some writes, however often the objects change under them, and however long the disk is full."""

        def write(draft: Draft) -> None:
            for item in part:
                if isinstance(item, WriteNode):
                    write_node(draft, item)
                else:
                    write_statuses(draft, item.reports)

        pause_ms = limits.planner_retry_ms
        while True:
            try:
                return await self._store.update(write)
            except Conflict as conflict:
                log.warning("committing %d reports again: %s", len(part), conflict)
            except ResourceExhausted as error:
                log.warning("reports wait: %s", error)
                await asyncio.sleep(pause_ms / 1000)
                pause_ms = min(2 * pause_ms, limits.planner_retry_ms_max)
