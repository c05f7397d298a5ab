"""The session as a machine: dial, register, beat, hand down what fits, bring statuses up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random

from msgspec.structs import replace

from covey import limits
from covey.errors import PeerFault
from covey.machine import Machine, Tick
from covey.model.assignments import Assignments
from covey.model.objects import ClusterVersion, NodeDescription, NodeNetworking
from covey.model.tables import NetworkTable, NetworkTableDelta

from .candidates import Candidates
from .events import (
    Assign,
    Audit,
    Audited,
    AuditedItself,
    Connected,
    Dial,
    Disconnected,
    DropTable,
    Effect,
    Event,
    Followed,
    HangUp,
    Heard,
    KeysChanged,
    Redescribed,
    Remarked,
    Remember,
    Send,
    StatusChanged,
    Subscribe,
    TableInForce,
    TasksDropped,
    TellWithdrawn,
    UseTable,
)
from .following import Following, following
from .messages import (
    Alive,
    AuditQuestion,
    Down,
    Heartbeat,
    LogSubscription,
    Membership,
    Redirect,
    Register,
    SessionStarted,
    StatusAcknowledged,
    TablesApplied,
    TableVersion,
    Withdrawn,
)
from .outbox import Outbox
from .tables import apply_delta

NEVER = ClusterVersion()
NOTHING_KNOWN = Membership()


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
    `in_force` what the kernel follows. `known` is what coveyd has told this process: what a manager
    says beyond it is passed on.
    """

    description: NodeDescription
    managers: tuple[str, ...]
    dice: Random
    last_seen: ClusterVersion = NEVER
    tables: dict[str, NetworkTable] = field(default_factory=dict[str, NetworkTable])
    networks: set[str] = field(default_factory=set[str])
    known: Membership = NOTHING_KNOWN
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
    silent_at_ms: int | None = None  # when the manager will have been silent for too long
    candidates: Candidates = field(init=False)
    following: Following = field(init=False)
    registered: NodeDescription = field(init=False)  # what this session began with
    tried: NodeNetworking = field(init=False)  # what was found out at the start, which does not change

    def __post_init__(self) -> None:
        self.candidates = Candidates(self.dice)
        self.following = following(self.known)
        self.tried, self.registered = self.description.networking, self.description

    @property
    def wake_ms(self) -> int | None:
        """When the next Tick is needed; None if only an event can change anything."""
        return min(
            (at for at in (self._phase_wake_ms, self.following.due_ms) if at is not None), default=None
        )

    @property
    def _phase_wake_ms(self) -> int | None:
        match self.phase:
            case Phase.AWAY:
                return self.dial_at_ms if self.managers else None
            case Phase.DIALING | Phase.REGISTERING:
                return self.deadline_ms
            case Phase.OPEN:
                wakes = (self.beat_at_ms, self.outbox.due_ms, self.silent_at_ms)
                return min(at for at in wakes if at is not None)

    def step(self, event: Event | Tick) -> Sequence[Effect]:
        """Feed one event; return what the driver must do, in order."""
        match event:
            case Tick(now_ms):
                return self._tell_time(now_ms)
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
            case Remarked(remarks, interfaces):
                return self._remark(remarks, interfaces)
            case KeysChanged(keys):
                networking = replace(self.description.networking, tunnel_keys=keys)
                return self._redescribe(replace(self.description, networking=networking))
            case Audited(answer):
                return (Send(self.number, answer),) if self.phase is Phase.OPEN else ()
            case AuditedItself(summary):
                return self._redescribe(replace(self.description, audit=summary))
            case Followed(ok):
                return self.following.done(ok, self.now_ms)
            case Connected(number) | Disconnected(number) | Heard(number) if number != self.number:
                return ()
            case Connected():
                return self._register()
            case Disconnected(_, reason):
                return self._end(reason) if self.phase is not Phase.AWAY else ()
            case Heard(_, message):
                return self._hear(message) if self.phase is not Phase.AWAY else ()

    # --- getting a session, and losing it ------------------------------------------------------------

    def _tell_time(self, now_ms: int) -> Sequence[Effect]:
        assert now_ms >= self.now_ms, "time runs forward"
        wake_ms = self._phase_wake_ms
        if self.silent_at_ms is not None and wake_ms is not None:
            # What we slept over is our own silence: the manager's words may lie in our inbox.
            self.silent_at_ms += max(0, now_ms - wake_ms)
        self.now_ms = now_ms
        return (*self.following.tick(now_ms), *self._tick())

    def _tick(self) -> Sequence[Effect]:
        match self.phase:
            case Phase.AWAY:
                return self._dial() if self.managers and self.now_ms >= self.dial_at_ms else ()
            case Phase.DIALING | Phase.REGISTERING:
                if self.now_ms < self.deadline_ms:
                    return ()
                return self._end(f"{self.address} did not answer within {self._patience_ms} ms")
            case Phase.OPEN:
                if self.silent_at_ms is not None and self.now_ms >= self.silent_at_ms:
                    return self._end(
                        f"{self.address} has not answered {limits.manager_grace_periods} heartbeats"
                    )
                return self._speak()

    @property
    def _patience_ms(self) -> int:
        """How long to wait for a manager's answer: less while others may be quicker, more each round."""
        if len(self.managers) < 2:
            return limits.register_timeout_ms
        rounds = self.failures // len(self.managers)
        return min(limits.manager_answer_ms << min(rounds // 2, 16), limits.register_timeout_ms)

    def _dial(self, address: str = "") -> Sequence[Effect]:
        self.address = address or self.candidates.choose(self.managers, self.address, self.now_ms)
        self.number += 1
        self.phase = Phase.DIALING
        self.deadline_ms = self.now_ms + self._patience_ms
        return (Dial(self.number, self.address),)

    def _register(self) -> Sequence[Effect]:
        if self.phase is not Phase.DIALING:
            return ()
        self.phase = Phase.REGISTERING
        self.registered = self.description
        held = tuple(TableVersion(id, self.tables[id].version) for id in sorted(self.tables))
        return (Send(self.number, Register(self.description, self.last_seen, held)),)

    def _end(self, reason: str) -> Sequence[Effect]:
        """Leave the stream and dial again, later each time, at a time no other agent chooses too.

        Where there are several managers, all are asked before the pause grows.
        """
        several = len(self.managers) > 1
        most_ms = limits.search_pause_ms_max if several else limits.reconnect_backoff_ms_max
        rounds = self.failures // max(len(self.managers), 1)
        pause_ms = min(most_ms, limits.reconnect_backoff_ms_min << min(rounds, 16))
        self.failures += 1
        self.candidates.failed(self.address, self.now_ms)
        return self._leave(reason, round(pause_ms * self.dice.uniform(0.5, 1.0)))

    def _leave(self, reason: str, pause_ms: int) -> Sequence[Effect]:
        self.dial_at_ms = self.now_ms + pause_ms
        self.phase = Phase.AWAY
        self.assigned = None
        self.silent_at_ms = None
        self.outbox.session_ended()
        return (HangUp(self.number, reason),)

    def _redirected(self, redirect: Redirect) -> Sequence[Effect]:
        """Go where this manager sends us; it is none's fault, so nothing is held against anybody."""
        remember = self._learn(redirect.managers)
        if self.candidates.redirected(self.address, redirect.leader, self.now_ms):
            left = self._leave(f"{self.address} sends us to the leader, {redirect.leader}", 0)
            return (*remember, *left, *self._dial(redirect.leader))
        reason = f"{self.address} does not lead and knows of nobody else who does"
        return (*remember, *self._leave(reason, self.candidates.leaderless_pause_ms()))

    def _learn(self, managers: tuple[str, ...]) -> Sequence[Effect]:
        if not managers or managers == self.managers:
            return ()
        self.managers = managers
        return (Remember(self.last_seen, managers),)

    # --- what managers say -----------------------------------------------------------------------------

    def _hear(self, message: Down) -> Sequence[Effect]:
        if self.silent_at_ms is not None:
            self._not_silent()
        if isinstance(message, SessionStarted):
            return self._started(message)
        if isinstance(message, Redirect):
            return self._redirected(message)
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
                    table = apply_delta(self.tables.get(message.network_id), message)
                except PeerFault as fault:
                    return self._end(str(fault))
                return self._use_table(table, message)
            case LogSubscription():
                return (Subscribe(message),)
            case Membership():
                return (*self._learn(message.managers), *self.following.told(message))
            case Withdrawn(task_ids):
                return (TellWithdrawn(task_ids),)
            case AuditQuestion():
                return (Audit(message),)
            case Alive():
                return ()

    def _not_silent(self) -> None:
        self.silent_at_ms = self.now_ms + limits.manager_grace_periods * self.period_ms

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
        self._not_silent()
        self.unreported = dict(self.in_force)
        self.candidates.serves(self.address)
        # what has changed since the node registered was said to nobody
        news = (Send(self.number, self.description),) if self.description != self.registered else ()
        return (*self._learn(message.managers), *news, *self._speak())

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

    def _use_table(self, table: NetworkTable, change: NetworkTableDelta | None = None) -> Sequence[Effect]:
        self.tables[table.network_id] = table
        return (UseTable(table, change), *self._saw(table.version))

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
        if network_id not in self.tables or version < self.in_force.get(network_id, NEVER):
            return ()  # dropped while it was being applied; or names were slow, and a newer one was not
        self.in_force[network_id] = self.unreported[network_id] = version
        return self._speak() if self.phase is Phase.OPEN else ()

    def _remark(self, remarks: tuple[str, ...], interfaces: tuple[str, ...]) -> Sequence[Effect]:
        known = self.description.networking
        every = (*self.tried.remarks, *remarks)[: limits.node_remarks_max]
        said = tuple(remark[: limits.node_remark_chars_max] for remark in every)
        there = interfaces[: limits.node_interfaces_max]
        networking = replace(known, remarks=said, interfaces=there)
        return self._redescribe(replace(self.description, networking=networking))

    def _redescribe(self, description: NodeDescription) -> Sequence[Effect]:
        if description == self.description:
            return ()
        self.description = description
        return (Send(self.number, description),) if self.phase is Phase.OPEN else ()


def _text(version: ClusterVersion) -> str:
    return f"{version.epoch}.{version.index}"


_: type[Machine[Event, Effect]] = Session
