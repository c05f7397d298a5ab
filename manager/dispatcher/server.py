"""The gRPC side of the dispatcher: an agent's stream becomes events, the machine's messages go back."""

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from random import Random

from covey import limits
from covey.errors import FailedPrecondition, NotLeader, PeerFault
from covey.ids import new_id
from covey.model.assignments import TaskReport
from covey.model.objects import ClusterVersion, NodeDescription
from covey.model.tunnels import wrong_with
from covey.v1 import objects_pb2
from covey.v1.dispatcher_pb2 import (
    AgentMessage,
    AuditAnswer,
    ManagerMessage,
    Redirect,
    SignOffRequest,
    SignOffResponse,
    TableVersion,
)
from covey.wire import services
from covey.wire.codec import from_message
from covey.wire.service import Binding, Caller, bind
from manager.dispatcher.driver import Dispatcher
from manager.dispatcher.events import (
    Disconnected,
    Event,
    HeartbeatReceived,
    NodeDescribed,
    Registered,
    SignedOff,
    StatusesReported,
    TablesInForce,
)

log = logging.getLogger(__name__)


Audited = Callable[[str, AuditAnswer], None]
"""Hear what a node's agent answers to an audit."""


class DispatcherServer:
    """Serves `covey.v1.Dispatcher`. A session speaks for the node its certificate names, and no other.

    `leading` gives the dispatcher while this manager leads; else agents are sent `elsewhere`. `audited` hears what they
    answer to audits.
    """

    def __init__(
        self,
        leading: Callable[[], Dispatcher | None],
        elsewhere: Callable[[], Redirect],
        dice: Random,
        audited: Audited = lambda _node_id, _answer: None,
    ) -> None:
        self._audited = audited
        self._leading = leading
        self._elsewhere = elsewhere
        self._dice = dice

    def bindings(self) -> list[Binding]:
        """List the methods this serves."""
        return [
            bind(services.Dispatcher.session, self._session),
            bind(services.Dispatcher.sign_off, self._sign_off),
        ]

    async def _sign_off(self, request: SignOffRequest, caller: Caller) -> SignOffResponse:
        dispatcher = self._leading()
        if dispatcher is None:
            raise NotLeader("this manager does not lead (any more)")
        log.info("node %s signs off", caller.node_id)
        dispatcher.post(SignedOff(caller.node_id))
        return SignOffResponse()

    async def _session(
        self, messages: AsyncIterable[AgentMessage], caller: Caller
    ) -> AsyncIterator[ManagerMessage]:
        dispatcher = self._leading()
        if dispatcher is None:
            yield ManagerMessage(redirect=self._elsewhere())
            return
        session_id = new_id(self._dice)
        outbox = dispatcher.open(session_id)
        reader = asyncio.create_task(_read(messages, session_id, caller, dispatcher, self._audited))
        reader.add_done_callback(lambda _: outbox.end(""))
        try:
            while (message := await outbox.next()) is not None:
                yield message
            if outbox.reason:
                raise FailedPrecondition(outbox.reason)
            if reader.done():
                reader.result()
        finally:
            dispatcher.post(Disconnected(session_id))
            dispatcher.close(session_id)
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader


async def _read(
    messages: AsyncIterable[AgentMessage],
    session_id: str,
    caller: Caller,
    dispatcher: Dispatcher,
    audited: Audited,
) -> None:
    registered = False
    async for message in messages:
        if registered and message.WhichOneof("kind") == "audit_answer":
            audited(caller.node_id, message.audit_answer)
            continue
        event = _event(message, session_id, caller)
        if isinstance(event, Registered) is registered:
            rule = "a session begins with one register message, and has no second"
            raise PeerFault(f"node {caller.node_id} sent {message.WhichOneof('kind')}: {rule}")
        registered = True
        dispatcher.post(event)
        await dispatcher.room()


def _event(message: AgentMessage, session_id: str, caller: Caller) -> Event:
    match message.WhichOneof("kind"):
        case "heartbeat":
            return HeartbeatReceived(session_id)
        case "status_report":
            report = message.status_report
            if len(report.reports) > limits.status_report_tasks_max:
                most = limits.status_report_tasks_max
                raise PeerFault(f"node {caller.node_id} reported on more than {most} tasks at once")
            reports = tuple(from_message(item, TaskReport) for item in report.reports)
            return StatusesReported(session_id, report.sequence, reports)
        case "tables_applied":
            return TablesInForce(session_id, _versions(message.tables_applied.tables))
        case "description":
            return NodeDescribed(session_id, _described(message.description, caller))
        case "register":
            return Registered(
                session_id,
                caller.node_id,
                caller.host,
                _described(message.register.description, caller),
                from_message(message.register.last_seen, ClusterVersion),
                _versions(message.register.tables),
            )
        case kind:
            raise PeerFault(f"node {caller.node_id} sent a message of kind {kind}; is its agent newer?")


def _versions(tables: Iterable[TableVersion]) -> tuple[tuple[str, ClusterVersion], ...]:
    return tuple((table.network_id, from_message(table.version, ClusterVersion)) for table in tables)


def _described(message: objects_pb2.NodeDescription, caller: Caller) -> NodeDescription:
    """Read what an agent says of its node. It goes on to every other node, so it must make sense."""
    rule = ""
    if message.ByteSize() > limits.node_description_bytes_max:
        rule = f"a description has at most {limits.node_description_bytes_max} bytes"
    elif not message.hostname.isprintable() or len(message.hostname) > limits.hostname_length_chars_max:
        rule = f"a host name is printable, and has at most {limits.hostname_length_chars_max} characters"
    elif message.data_address and not _is_address(message.data_address):
        rule = f"{message.data_address!r} is no IP address that packets can be sent to"
    description = from_message(message, NodeDescription) if not rule else NodeDescription()
    rule = rule or wrong_with(description.networking.tunnel_keys)
    if rule:
        raise PeerFault(f"node {caller.node_id} described itself as no node can be: {rule}")
    return description


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_unspecified or address.is_multicast or "%" in text)
