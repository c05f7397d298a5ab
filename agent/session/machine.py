"""The session as a machine: dial, register, beat, hand down what fits, bring statuses up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random

from covey import limits
from covey.errors import PeerFault
from covey.machine import Machine, Tick
from covey.model.assignments import Assignments
from covey.model.objects import ClusterVersion, NodeDescription
from covey.model.tables import NetworkTable, NetworkTableDelta

from .events import (
    Assign,
    Connected,
    Dial,
    Disconnected,
    DropTable,
    Effect,
    Event,
    HangUp,
    Heard,
    Redescribed,
    Remember,
    Send,
    StatusChanged,
    Subscribe,
    TableInForce,
    TasksDropped,
    UseTable,
)
from .messages import (
    Down,
    Heartbeat,
    LogSubscription,
    Register,
    SessionStarted,
    StatusAcknowledged,
    TablesApplied,
    TableVersion,
)
from .outbox import Outbox
from .tables import apply_delta

NEVER = ClusterVersion()


class Phase(Enum):
    """How far the session has come."""

    AWAY = auto()  # no stream; dials at `dial_at_ms`
    DIALING = auto()
    REGISTERING = auto()  # open, and told who we are; the manager has not answered
    OPEN = auto()


@dataclass(slots=True)
class Session:
    """One node's session, over all the streams it takes.

    `last_seen` and `tables` come from disk after a restart. `networks` are those of the assignments; tables
    of others are not for us (any more). `tables` hold what differences apply to, even if the kernel lags;
    `in_force` what the kernel follows.
    """

    description: NodeDescription
    managers: tuple[str, ...]
    dice: Random
    last_seen: ClusterVersion = NEVER
    tables: dict[str, NetworkTable] = field(default_factory=dict[str, NetworkTable])
    networks: set[str] = field(default_factory=set[str])
    now_ms: int = 0
    phase: Phase = Phase.AWAY
    number: int = 0
    address: str = ""
    failures: int = 0
    dial_at_ms: int = 0
    deadline_ms: int = 0
    beat_at_ms: int = 0
    period_ms: int = limits.heartbeat_period_ms
    assigned: ClusterVersion | None = None  # what a difference must apply to; None before the full set
    in_force: dict[str, ClusterVersion] = field(default_factory=dict[str, ClusterVersion])
    unreported: dict[str, ClusterVersion] = field(default_factory=dict[str, ClusterVersion])
    outbox: Outbox = field(default_factory=Outbox)

    @property
    def wake_ms(self) -> int | None:
        """When the next Tick is needed; None if only an event can change anything."""
        match self.phase:
            case Phase.AWAY:
                return self.dial_at_ms if self.managers else None
            case Phase.DIALING | Phase.REGISTERING:
                return self.deadline_ms
            case Phase.OPEN:
                due_ms = self.outbox.due_ms
                return self.beat_at_ms if due_ms is None else min(due_ms, self.beat_at_ms)

    def step(self, event: Event | Tick) -> Sequence[Effect]:
        """Feed one event; return what the driver must do, in order."""
        match event:
            case Tick(now_ms):
                assert now_ms >= self.now_ms, "time runs forward"
                self.now_ms = now_ms
                return self._tick()
            case StatusChanged(report):
                self.outbox.put(report, self.now_ms)
                return ()
            case TasksDropped(task_ids):
                self.outbox.forget(task_ids)
                return ()
            case TableInForce(network_id, version):
                return self._table_in_force(network_id, version)
            case Redescribed(description):
                return self._redescribe(description)
            case Connected(number) | Disconnected(number) | Heard(number) if number != self.number:
                return ()
            case Connected():
                return self._register()
            case Disconnected(_, reason):
                return self._end(reason) if self.phase is not Phase.AWAY else ()
            case Heard(_, message):
                return self._hear(message) if self.phase is not Phase.AWAY else ()

    # --- getting a session, and losing it ------------------------------------------------------------

    def _tick(self) -> Sequence[Effect]:
        match self.phase:
            case Phase.AWAY:
                return self._dial() if self.managers and self.now_ms >= self.dial_at_ms else ()
            case Phase.DIALING | Phase.REGISTERING:
                if self.now_ms < self.deadline_ms:
                    return ()
                return self._end(f"{self.address} did not answer within {limits.register_timeout_ms} ms")
            case Phase.OPEN:
                return self._speak()

    def _dial(self) -> Sequence[Effect]:
        others = [address for address in self.managers if address != self.address]
        self.address = self.dice.choice(others or list(self.managers))
        self.number += 1
        self.phase = Phase.DIALING
        self.deadline_ms = self.now_ms + limits.register_timeout_ms
        return (Dial(self.number, self.address),)

    def _register(self) -> Sequence[Effect]:
        if self.phase is not Phase.DIALING:
            return ()
        self.phase = Phase.REGISTERING
        return (Send(self.number, Register(self.description, self.last_seen)),)

    def _end(self, reason: str) -> Sequence[Effect]:
        """Leave the stream and dial again, later each time, at a time no other agent chooses too."""
        pause_ms = min(
            limits.reconnect_backoff_ms_max, limits.reconnect_backoff_ms_min << min(self.failures, 16)
        )
        self.failures += 1
        self.dial_at_ms = self.now_ms + round(pause_ms * self.dice.uniform(0.5, 1.0))
        self.phase = Phase.AWAY
        self.assigned = None
        self.outbox.session_ended()
        return (HangUp(self.number, reason),)

    # --- what managers say -----------------------------------------------------------------------------

    def _hear(self, message: Down) -> Sequence[Effect]:
        if isinstance(message, SessionStarted):
            return self._started(message)
        if self.phase is not Phase.OPEN:
            return self._end(f"{self.address} sent {type(message).__name__} before SessionStarted")
        match message:
            case StatusAcknowledged(sequence):
                self.outbox.acknowledged(sequence)
                return ()
            case Assignments():
                return self._assign(message)
            case NetworkTable() | NetworkTableDelta() if message.network_id not in self.networks:
                return ()
            case NetworkTable():
                return self._use_table(message)
            case NetworkTableDelta():
                try:
                    return self._use_table(apply_delta(self.tables.get(message.network_id), message))
                except PeerFault as fault:
                    return self._end(str(fault))
            case LogSubscription():
                return (Subscribe(message),)

    def _started(self, message: SessionStarted) -> Sequence[Effect]:
        if self.phase is not Phase.REGISTERING:
            return self._end(f"{self.address} sent SessionStarted twice")
        if message.version < self.last_seen:
            return self._end(
                f"{self.address} is at version {_text(message.version)}, behind {_text(self.last_seen)} which "
                "this node has seen"
            )
        self.phase = Phase.OPEN
        self.period_ms = max(message.heartbeat_period_ms, limits.heartbeat_period_ms_min)
        self.beat_at_ms = self.now_ms + self.period_ms
        self.unreported = dict(self.in_force)
        effects: list[Effect] = []
        if message.managers and message.managers != self.managers:
            self.managers = message.managers
            effects.append(Remember(self.last_seen, self.managers))
        return (*effects, *self._speak())

    def _assign(self, message: Assignments) -> Sequence[Effect]:
        if message.full:
            if message.version < self.last_seen:
                return self._end(
                    f"{self.address} sent assignments of version {_text(message.version)}, behind "
                    f"{_text(self.last_seen)} which this node has seen"
                )
        elif self.assigned is None or message.applies_to != self.assigned:
            held = "none" if self.assigned is None else _text(self.assigned)
            return self._end(
                f"a change of assignments applies to version {_text(message.applies_to)}, but the one held is "
                f"{held}"
            )
        self.assigned = message.version
        self.failures = 0  # this manager is of use: the next trouble is a new one
        if message.full:
            self.networks.clear()
        self.networks.difference_update(message.removed_networks)
        self.networks.update(network.id for network in message.changed.networks)
        dropped = sorted(self.tables.keys() - self.networks)
        for network_id in dropped:
            del self.tables[network_id]
            self.in_force.pop(network_id, None)
            self.unreported.pop(network_id, None)
        return (Assign(message), *[DropTable(id) for id in dropped], *self._saw(message.version))

    def _use_table(self, table: NetworkTable) -> Sequence[Effect]:
        self.tables[table.network_id] = table
        return (UseTable(table), *self._saw(table.version))

    def _saw(self, version: ClusterVersion) -> Sequence[Effect]:
        if version <= self.last_seen:
            return ()
        self.last_seen = version
        return (Remember(version, self.managers),)

    # --- what we say -----------------------------------------------------------------------------------

    def _speak(self) -> Sequence[Effect]:
        """Say what is due: a heartbeat, tables in force, statuses."""
        effects: list[Effect] = []
        if self.now_ms >= self.beat_at_ms:
            self.beat_at_ms = self.now_ms + self.period_ms
            effects.append(Send(self.number, Heartbeat()))
        if self.unreported:
            versions = tuple(TableVersion(id, self.unreported[id]) for id in sorted(self.unreported))
            self.unreported.clear()
            effects.append(Send(self.number, TablesApplied(versions)))
        while (report := self.outbox.take(self.now_ms)) is not None:
            effects.append(Send(self.number, report))
        return effects

    def _table_in_force(self, network_id: str, version: ClusterVersion) -> Sequence[Effect]:
        if network_id not in self.tables:
            return ()  # dropped while it was being applied
        self.in_force[network_id] = self.unreported[network_id] = version
        return self._speak() if self.phase is Phase.OPEN else ()

    def _redescribe(self, description: NodeDescription) -> Sequence[Effect]:
        if description == self.description:
            return ()
        self.description = description
        return (Send(self.number, description),) if self.phase is Phase.OPEN else ()


def _text(version: ClusterVersion) -> str:
    return f"{version.epoch}.{version.index}"


_: type[Machine[Event, Effect]] = Session
