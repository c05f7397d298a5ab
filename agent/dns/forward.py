"""The books of forwarded queries: whom to ask next, what to believe, when to give up. A machine.

Each attempt goes out on a socket of its own with a fresh random id, so that a stranger must guess both
port and id (RFC 5452), and a reply is believed only if it repeats the question.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from covey import limits
from covey.machine.machine import Machine, Tick

from . import codec
from .codec import Question
from .feed import Upstream


@dataclass(frozen=True, slots=True)
class Asked:
    """A container asked for a name that is not ours. `client` is the driver's handle for the asker."""

    client: int
    task_id: str
    query: bytes
    question: Question
    upstreams: tuple[Upstream, ...]
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Replied:
    """Bytes arrived on the socket of an exchange."""

    exchange: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Broke:
    """The socket of an exchange failed: refused, unreachable, closed."""

    exchange: int


@dataclass(frozen=True, slots=True)
class Gone:
    """A container is gone: forget what it asked."""

    task_id: str


@dataclass(frozen=True, slots=True)
class Send:
    """Open a socket for this exchange (in the task's namespace or the node's) and send `data`."""

    exchange: int
    task_id: str
    upstream: Upstream
    data: bytes
    stream: bool


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket of an exchange."""

    exchange: int


@dataclass(frozen=True, slots=True)
class Respond:
    """Give the asker its answer. Comes after the Close of the exchange it came from."""

    client: int
    data: bytes


Event = Asked | Replied | Broke | Gone
Effect = Send | Close | Respond


@dataclass(slots=True)
class _Pending:
    asked: Asked
    upstreams: tuple[Upstream, ...]
    wire_id: bytes
    deadline_ms: int
    refused: bytes | None = None
    """The last reply that said SERVFAIL or REFUSED: better than an invention of ours."""


@dataclass(slots=True)
class Forwarder:
    """Outstanding forwards. All wait equally long, so the oldest exchange is always first to expire."""

    dice: Random
    now_ms: int = 0
    strays: int = 0
    _pending: dict[int, _Pending] = field(default_factory=dict)
    _per_task: dict[str, int] = field(default_factory=dict)
    _last_exchange: int = 0

    def step(self, event: Event | Tick) -> Sequence[Effect]:
        """Feed one event; return what the driver must do, in that order."""
        match event:
            case Asked():
                return self._asked(event)
            case Replied(exchange, data):
                return self._replied(exchange, data)
            case Broke(exchange):
                return self._failed(exchange, None)
            case Gone(task_id):
                return self._gone(task_id)
            case Tick(now_ms):
                return self._expire(now_ms)

    def wake_at_ms(self) -> int | None:
        """Return when the next Tick matters, None if nothing is outstanding."""
        return next((pending.deadline_ms for pending in self._pending.values()), None)

    def _asked(self, asked: Asked) -> Sequence[Effect]:
        upstreams = tuple(up for up in asked.upstreams if not _is_ourselves(up))[: limits.dns_upstreams_max]
        mine = self._per_task.get(asked.task_id, 0)
        full = len(self._pending) >= limits.dns_forwards_max or mine >= limits.dns_forwards_per_container_max
        if full or not upstreams:
            return (Respond(asked.client, codec.refusal(asked.query, codec.SERVFAIL, asked.question)),)
        self._per_task[asked.task_id] = mine + 1
        return (self._attempt(asked, upstreams, None),)

    def _attempt(self, asked: Asked, upstreams: tuple[Upstream, ...], refused: bytes | None) -> Send:
        self._last_exchange += 1
        wire_id = self.dice.getrandbits(16).to_bytes(2, "big")
        deadline_ms = self.now_ms + limits.dns_upstream_timeout_ms
        self._pending[self._last_exchange] = _Pending(asked, upstreams[1:], wire_id, deadline_ms, refused)
        data = wire_id + asked.query[2:]
        return Send(self._last_exchange, asked.task_id, upstreams[0], data, asked.stream)

    def _replied(self, exchange: int, data: bytes) -> Sequence[Effect]:
        pending = self._pending.get(exchange)
        if pending is None or not _answers(data, pending):
            self.strays += 1
            return ()
        reply = pending.asked.query[:2] + data[2:]
        if codec.rcode_of(data) in (codec.SERVFAIL, codec.REFUSED):
            return self._failed(exchange, reply)
        return self._done(exchange, reply)

    def _failed(self, exchange: int, refused: bytes | None) -> Sequence[Effect]:
        pending = self._pending.get(exchange)
        if pending is None:
            return ()
        refused = refused or pending.refused
        if pending.upstreams:
            del self._pending[exchange]
            return (Close(exchange), self._attempt(pending.asked, pending.upstreams, refused))
        asked = pending.asked
        return self._done(exchange, refused or codec.refusal(asked.query, codec.SERVFAIL, asked.question))

    def _done(self, exchange: int, reply: bytes) -> Sequence[Effect]:
        asked = self._forget(exchange)
        return (Close(exchange), Respond(asked.client, reply))

    def _gone(self, task_id: str) -> Sequence[Effect]:
        theirs = [number for number, pending in self._pending.items() if pending.asked.task_id == task_id]
        for exchange in theirs:
            self._forget(exchange)
        return [Close(exchange) for exchange in theirs]

    def _expire(self, now_ms: int) -> Sequence[Effect]:
        assert now_ms >= self.now_ms, "time runs forward"
        self.now_ms = now_ms
        late = []
        for exchange, pending in self._pending.items():
            if pending.deadline_ms > now_ms:
                break
            late.append(exchange)
        return [effect for exchange in late for effect in self._failed(exchange, None)]

    def _forget(self, exchange: int) -> Asked:
        asked = self._pending.pop(exchange).asked
        left = self._per_task[asked.task_id] - 1
        if left:
            self._per_task[asked.task_id] = left
        else:
            del self._per_task[asked.task_id]
        return asked


def _is_ourselves(upstream: Upstream) -> bool:
    # From a container's namespace 127.0.0.11 is this very server, and a query would run in a circle. From
    # the node's it is not: there it may be the resolver of a container the whole node runs in.
    return upstream.address == limits.dns_address and not upstream.from_node


def _answers(data: bytes, pending: _Pending) -> bool:
    if len(data) < codec.HEADER_BYTES or not data[2] & 0x80 or data[:2] != pending.wire_id:
        return False
    if data[4:6] == b"\0\0":
        return codec.rcode_of(data) != codec.NOERROR  # some servers refuse without repeating the question
    question = codec.read_question(data)
    asked = pending.asked.question
    return question is not None and (question.name, question.qtype, question.qclass) == (
        asked.name,
        asked.qtype,
        asked.qclass,
    )


_: type[Machine[Event, Effect]] = Forwarder
