"""The books of forwarded queries: whom to ask next, what to believe, when to give up. A machine.

Each attempt goes out on a socket of its own with a fresh random id, so that a stranger must guess both
port and id (RFC 5452), and a reply is believed only if it repeats the question.

What a container asks again while it is being asked joins the first (RFC 5452 section 5 wants that, too). So a
circle, such as a name server in a container that the node itself asks, is closed once and then stands still.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from random import Random

from covey import limits
from covey.machine.machine import Machine, Tick

from . import codec
from .codec import Question
from .feed import Upstream
from .message import refusal


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
    also: list[Asked]
    """Those who asked the same since."""
    upstream: Upstream
    upstreams: tuple[Upstream, ...]
    wire_id: bytes
    deadline_ms: int
    refused: bytes | None = None
    """The last reply that said SERVFAIL or REFUSED: better than an invention of ours."""


# Of one container, the same bytes but for the id, by the same way, to the same servers.
_Same = tuple[str, bytes, bool, tuple[Upstream, ...]]


@dataclass(slots=True)
class Forwarder:
    """Outstanding forwards. All wait equally long, so the oldest exchange is always first to expire.

    A server that did not answer in time is asked after the others for a while, not first.
    """

    dice: Random
    now_ms: int = 0
    strays: int = 0
    joined: int = 0
    crowded: Counter[str] = field(default_factory=Counter)  # refused for there were too many, by container
    _late: dict[tuple[str, Upstream], int] = field(default_factory=dict)
    _same: dict[_Same, int] = field(default_factory=dict)
    _pending: dict[int, _Pending] = field(default_factory=dict)
    _per_task: dict[str, int] = field(default_factory=dict)
    _waiting: int = 0
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
        crowded = mine >= self._share()
        if crowded:
            self.crowded[asked.task_id] += 1
        if crowded or not upstreams:
            return (Respond(asked.client, refusal(asked.query, codec.SERVFAIL, asked.question)),)
        self._per_task[asked.task_id] = mine + 1
        self._waiting += 1
        exchange = self._same.get(_same(asked))
        if exchange is not None:
            self.joined += 1
            self._pending[exchange].also.append(asked)
            return ()
        return (self._attempt(asked, [], self._in_turn(asked.task_id, upstreams), None),)

    def _share(self) -> int:
        """How many a container may have waiting: the fuller it is, the fewer, but some in any case.

        So those that ask without end share what there is, and do not take the last place from the others.
        """
        if self._waiting >= limits.dns_forwards_max:
            return 0
        free = limits.dns_forwards_shared_max - self._waiting
        share = min(limits.dns_forwards_per_container_max, free // limits.dns_forwards_free_per_asked)
        return max(share, limits.dns_forwards_per_container_min)

    def _in_turn(self, task_id: str, upstreams: tuple[Upstream, ...]) -> tuple[Upstream, ...]:
        """Those first that are not known to be late."""
        return tuple(sorted(upstreams, key=lambda up: self._late.get(_place(task_id, up), 0) > self.now_ms))

    def _attempt(
        self, asked: Asked, also: list[Asked], upstreams: tuple[Upstream, ...], refused: bytes | None
    ) -> Send:
        self._last_exchange += 1
        wire_id = self.dice.getrandbits(16).to_bytes(2, "big")
        deadline_ms = self.now_ms + limits.dns_upstream_timeout_ms
        self._pending[self._last_exchange] = _Pending(
            asked, also, upstreams[0], upstreams[1:], wire_id, deadline_ms, refused
        )
        self._same[_same(asked)] = self._last_exchange
        data = wire_id + asked.query[2:]
        return Send(self._last_exchange, asked.task_id, upstreams[0], data, asked.stream)

    def _replied(self, exchange: int, data: bytes) -> Sequence[Effect]:
        pending = self._pending.get(exchange)
        if pending is None or not _answers(data, pending):
            self.strays += 1
            return ()
        reply = data
        self._late.pop(_place(pending.asked.task_id, pending.upstream), None)
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
            again = self._attempt(pending.asked, pending.also, pending.upstreams, refused)
            return (Close(exchange), again)
        asked = pending.asked
        return self._done(exchange, refused or refusal(asked.query, codec.SERVFAIL, asked.question))

    def _done(self, exchange: int, reply: bytes) -> Sequence[Effect]:
        askers = self._forget(exchange)
        return (Close(exchange), *(Respond(each.client, each.query[:2] + reply[2:]) for each in askers))

    def _gone(self, task_id: str) -> Sequence[Effect]:
        theirs = [number for number, pending in self._pending.items() if pending.asked.task_id == task_id]
        for exchange in theirs:
            self._forget(exchange)
        self.crowded.pop(task_id, None)
        return [Close(exchange) for exchange in theirs]

    def _expire(self, now_ms: int) -> Sequence[Effect]:
        assert now_ms >= self.now_ms, "time runs forward"
        self.now_ms = now_ms
        late = []
        for exchange, pending in self._pending.items():
            if pending.deadline_ms > now_ms:
                break
            late.append(exchange)
            self._is_late(_place(pending.asked.task_id, pending.upstream))
        return [effect for exchange in late for effect in self._failed(exchange, None)]

    def _is_late(self, place: tuple[str, Upstream]) -> None:
        self._late.pop(place, None)
        self._late[place] = self.now_ms + limits.dns_upstream_late_ms
        oldest = next(iter(self._late))
        if self._late[oldest] <= self.now_ms or len(self._late) > limits.dns_forwards_max:
            del self._late[oldest]

    def _forget(self, exchange: int) -> list[Asked]:
        pending = self._pending.pop(exchange)
        askers = [pending.asked, *pending.also]
        del self._same[_same(pending.asked)]
        self._waiting -= len(askers)
        left = self._per_task[pending.asked.task_id] - len(askers)
        if left:
            self._per_task[pending.asked.task_id] = left
        else:
            del self._per_task[pending.asked.task_id]
        return askers


def _same(asked: Asked) -> _Same:
    return asked.task_id, asked.query[2:], asked.stream, asked.upstreams


def _place(task_id: str, upstream: Upstream) -> tuple[str, Upstream]:
    # What is asked from a container's namespace may be reached from there and nowhere else.
    return ("" if upstream.from_node else task_id), upstream


def _is_ourselves(upstream: Upstream) -> bool:
    # From a container's namespace 127.0.0.11 is this very server, and a query would run in a circle. From
    # the node's it is not: there it may be the resolver of a container the whole node runs in.
    if upstream.from_node:
        return False
    address = ip_address(upstream.address.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address) == limits.dns_address


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
