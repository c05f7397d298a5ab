"""The dispatcher's machine: agents' messages and commits in, messages and writes out.

Order of effects: writes come before the messages that depend on them, and an acknowledgement only after
`StatusesWritten` has said that the store has them. Everything else may be performed in the order given.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from covey import limits
from covey.machine import Machine, Tick
from covey.model.assignments import TaskReport
from covey.model.changes import table_delta
from covey.model.objects import Cluster, ClusterVersion, Endpoint, Network, Node
from covey.model.states import NodeState
from covey.model.tables import NetworkTable, NetworkTableDelta
from manager.dispatcher.assignments import assignment_set, difference, full
from manager.dispatcher.dirt import Dirt
from manager.dispatcher.events import (
    Acknowledge,
    AnswerAlive,
    Committed,
    Disconnected,
    Effect,
    EndSession,
    Event,
    HeartbeatReceived,
    ManagersChanged,
    NodeDescribed,
    Registered,
    Send,
    SignedOff,
    StartSession,
    StatusesReported,
    StatusesWritten,
    TablesInForce,
    TellMembership,
    TellWithdrawn,
    WriteNode,
    WriteStatuses,
)
from manager.dispatcher.liveness import Expected, Forgotten, Heard, Left, Liveness, heartbeat_period_ms
from manager.dispatcher.past import Past
from manager.dispatcher.session import Session
from manager.dispatcher.tables import network_table
from manager.dispatcher.underlay import apart
from manager.dispatcher.withdrawals import Key, Withdrawals
from manager.store.transaction import Commit
from manager.store.view import BY_NODE, View


@dataclass(slots=True)
class Sessions:
    """All sessions of this manager. `view` is the store's; it is only read."""

    view: View
    managers: tuple[str, ...] = ()
    liveness: Liveness = field(default_factory=Liveness)
    sessions: dict[str, Session] = field(default_factory=dict[str, Session])
    by_node: dict[str, str] = field(default_factory=dict[str, str])
    tables: dict[str, NetworkTable] = field(default_factory=dict[str, NetworkTable])
    past: Past = field(default_factory=Past)
    dirt: Dirt = field(default_factory=Dirt)
    waiting: dict[str, Session] = field(default_factory=dict[str, Session])
    withdrawals: Withdrawals = field(init=False)
    reports: list[tuple[str, TaskReport]] = field(default_factory=list[tuple[str, TaskReport]])
    acknowledgements: dict[str, int] = field(default_factory=dict[str, int])
    now_ms: int = 0
    flushed_at_ms: int = 0
    flushed_all: bool = True  # else the rest is due now: others had a turn

    def __post_init__(self) -> None:
        """Give every node that is thought alive a first grace period."""
        self.withdrawals = Withdrawals(self.view)
        for node in self.view.all(Node):
            if node.status.state is NodeState.READY:
                self.liveness.step(Expected(node.id))

    @property
    def flush_at_ms(self) -> int | None:
        """When the next `Tick` has something to send or to write; None while there is nothing."""
        if not (self.dirt or self.reports or self.acknowledgements):
            return None
        if not self.flushed_all:
            return self.now_ms
        return self.flushed_at_ms + min(limits.assignment_batch_ms, limits.status_batch_ms)

    def applied(self, network_id: str) -> dict[str, ClusterVersion]:
        """Return the version of a network's table in force on each node with a live session that has it."""
        live = (self.sessions[id] for id in self.by_node.values())
        return {s.node_id: s.applied[network_id] for s in live if network_id in s.applied}

    def behind(self) -> Iterator[tuple[tuple[str, str], tuple[ClusterVersion, ClusterVersion]]]:
        """Say which nodes follow an older table than they were sent: ((node, network), (sent, in force))."""
        for session in self.sessions.values():
            for network_id, sent in session.tables.items() if session.started else ():
                applied = session.follows(network_id)
                if applied < sent:
                    yield (session.node_id, network_id), (sent, applied)

    def session_of(self, node_id: str) -> str:
        """Return the id of a node's session if it has started: before that its agent takes no messages."""
        session = self.sessions.get(self.by_node.get(node_id, ""))
        return session.id if session is not None and session.started else ""

    def step(self, event: Event | Tick) -> Sequence[Effect]:
        """Feed one event; return what the driver must do, in order."""
        match event:
            case Tick(now_ms):
                return self._tick(now_ms)
            case Committed(commit):
                return self._committed(commit)
            case Registered():
                return self._register(event)
            case SignedOff(node_id):
                return self._sign_off(node_id)
            case ManagersChanged(managers):
                self.managers = managers
                return self._tell_membership(self.by_node)
            case StatusesWritten(acknowledged):
                return [self._acknowledge(id, to) for id, to in acknowledged if id in self.sessions]
            case _:
                session = self.sessions.get(event.session_id)
                return self._hear(session, event) if session is not None else ()

    def _hear(
        self,
        session: Session,
        event: Disconnected | HeartbeatReceived | StatusesReported | TablesInForce | NodeDescribed,
    ) -> Sequence[Effect]:
        """Take one message of a live session."""
        if isinstance(event, Disconnected):
            # The node is not down yet: its agent may only have restarted. Liveness decides.
            self._forget(session)
            self.liveness.step(Left(session.node_id))
            return ()
        self.liveness.step(Heard(session.node_id))
        match event:
            case StatusesReported():
                return self._report(session, event)
            case TablesInForce(_, versions):
                session.applied.update({id: version for id, version in versions if id in session.tables})
                self.withdrawals.moved = True
            case HeartbeatReceived():
                return [AnswerAlive(session.id)]
            case NodeDescribed(_, description):
                return [WriteNode(session.node_id, NodeState.READY, "", "", description)]
        return ()

    def _report(self, session: Session, event: StatusesReported) -> Sequence[Effect]:
        """Note what is to be written, of an agent that keeps to what may be in flight: memory is bounded."""
        if len(session.unacknowledged) >= limits.status_reports_in_flight_max:
            self._forget(session)
            most = limits.status_reports_in_flight_max
            return [EndSession(session.id, f"the agent sent more than {most} reports unacknowledged")]
        session.unacknowledged.append(event.sequence)
        self.reports.extend((session.node_id, report) for report in event.reports)
        self.acknowledgements[session.id] = event.sequence
        return ()

    def _acknowledge(self, session_id: str, sequence: int) -> Acknowledge:
        session = self.sessions[session_id]
        session.unacknowledged = [number for number in session.unacknowledged if number > sequence]
        return Acknowledge(session_id, sequence)

    def _sign_off(self, node_id: str) -> Sequence[Effect]:
        self.liveness.step(Forgotten(node_id))
        effects: list[Effect] = [WriteNode(node_id, NodeState.DOWN, "the node left the cluster")]
        if (session_id := self.by_node.get(node_id)) is not None:
            self._forget(self.sessions[session_id])
            effects.append(EndSession(session_id, "the node left the cluster"))
        return effects

    def _forget(self, session: Session) -> None:
        del self.sessions[session.id]
        self.waiting.pop(session.id, None)
        self.acknowledgements.pop(session.id, None)
        if self.by_node.get(session.node_id) == session.id:
            del self.by_node[session.node_id]

    def _version(self) -> ClusterVersion:
        epoch = max((cluster.epoch for cluster in self.view.all(Cluster)), default=0)
        return ClusterVersion(epoch, self.view.index)

    def _register(self, event: Registered) -> Sequence[Effect]:
        effects: list[Effect] = []
        if self.view.get(Node, event.node_id) is None:
            return [EndSession(event.session_id, f"node {event.node_id} is not a member of this cluster")]
        previous = self.by_node.get(event.node_id)
        if previous is not None:
            self._forget(self.sessions[previous])
            effects.append(EndSession(previous, "the node opened another session"))
        epoch = self._version().epoch
        if event.last_seen.epoch > epoch:
            reason = f"the node has seen epoch {event.last_seen.epoch}, and this manager is at {epoch}"
            return [*effects, EndSession(event.session_id, reason)]
        if why := apart(self.view, event.node_id, event.description.data_address):
            down = WriteNode(event.node_id, NodeState.DOWN, why)
            return [*effects, down, EndSession(event.session_id, why)]
        session = Session(event.session_id, event.node_id, event.last_seen, held=dict(event.tables))
        self.sessions[session.id] = session
        self.by_node[session.node_id] = session.id
        self.liveness.step(Heard(session.node_id))
        effects.append(WriteNode(session.node_id, NodeState.READY, "", event.address, event.description))
        self.waiting[session.id] = session
        return [*effects, *self._start_waiting()]

    def _start_waiting(self) -> list[Effect]:
        """Start the sessions whose agents have seen nothing that we have not."""
        effects: list[Effect] = []
        version = self._version()
        for session in [s for s in self.waiting.values() if s.last_seen <= version]:
            del self.waiting[session.id]
            session.started = True
            session.version = version
            session.assign(assignment_set(self.view, session.node_id))
            wanted = max((c.spec.heartbeat_period_ms for c in self.view.all(Cluster)), default=0)
            period_ms = heartbeat_period_ms(len(self.sessions), wanted or limits.heartbeat_period_ms)
            self.liveness.period_ms = max(self.liveness.period_ms, period_ms)
            effects.append(StartSession(session.id, period_ms, version, self.managers))
            effects.extend(self._tell_membership((session.node_id,)))
            effects.append(Send(session.id, full(session.assigned, version)))
            effects.extend(self._send_tables(session))
            session.held = {}  # what it is not on now, it drops
            self.withdrawals.started(session.node_id, session.tables)
        return effects

    def _committed(self, commit: Commit) -> Sequence[Effect]:
        self.dirt.add(self.view, commit)
        self.withdrawals.committed(commit)
        effects: list[Effect] = self._start_waiting() if self.waiting else []
        for change in commit.changes:
            if isinstance(change.before, Node) and isinstance(change.after, Node):
                if change.before.role is not change.after.role:
                    effects.extend(self._tell_membership((change.after.id,)))
            elif isinstance(change.before, Node):
                self.liveness.step(Forgotten(change.before.id))
                if (session_id := self.by_node.get(change.before.id)) is not None:
                    self._forget(self.sessions[session_id])
                    effects.append(EndSession(session_id, "the node was removed from the cluster"))
        return effects

    def _tell_membership(self, node_ids: Iterable[str]) -> list[Effect]:
        """Tell the agents of some nodes, of those whose sessions have started."""
        effects: list[Effect] = []
        for node_id in node_ids:
            node, session_id = self.view.get(Node, node_id), self.session_of(node_id)
            if node is not None and session_id:
                effects.append(TellMembership(session_id, node.role, self.managers))
        return effects

    def _tick(self, now_ms: int) -> Sequence[Effect]:
        self.now_ms = now_ms
        effects: list[Effect] = []
        for down in self.liveness.step(Tick(now_ms)):
            effects.append(WriteNode(down.node_id, NodeState.DOWN, "heartbeat failure"))
            # Its connection may outlive a link that was cut for a while: the node registers anew to be ready.
            if (session_id := self.by_node.get(down.node_id)) is not None:
                self._forget(self.sessions[session_id])
                effects.append(EndSession(session_id, "no heartbeat came within the grace period"))
        due = self.flush_at_ms
        if due is not None and now_ms >= due:
            self.flushed_at_ms = now_ms
            if self.reports or self.acknowledgements:
                effects.append(WriteStatuses(tuple(self.reports), tuple(self.acknowledgements.items())))
                self.reports, self.acknowledgements = [], {}
            effects.extend(self._flush())
        if self.withdrawals.busy:
            told = self.withdrawals.due(partial(self._lags, self._version().epoch), self._tellable)
            effects.extend(TellWithdrawn(session_id, task_ids) for session_id, task_ids in told)
        return effects

    def _lags(self, epoch: int, node_id: str, key: Key) -> bool:
        """Tell whether a node may still send to an endpoint on a network that drains since an index.

        One that is thought alive and has no session does, if it is on the network: nobody knows what it follows.
        """
        network_id, index = key
        session = self.sessions.get(self.by_node.get(node_id, ""))
        if session is not None and session.started:
            behind = session.follows(network_id) < ClusterVersion(epoch, index)
            return network_id in session.tables and behind
        node = self.view.get(Node, node_id)
        if node is None or node.status.state is not NodeState.READY:
            return False
        return any(each.network_id == network_id for each in self.view.find(Endpoint, BY_NODE, node_id))

    def _tellable(self, node_id: str) -> str | None:
        """The session of a node, "" while its agent has yet to hear of a change: that it is to stop a task."""
        return (self.session_of(node_id) or None) if node_id not in self.dirt.nodes else ""

    def _flush(self) -> list[Effect]:
        """Tell every session what has changed for it since it was last told; after a bound, the rest next time."""
        dirt, self.dirt = self.dirt, Dirt()
        version, effects = self._version(), list[Effect]()
        started = [self.sessions[id] for id in self.by_node.values() if self.sessions[id].started]
        looked_at = 0
        dirty = [session for session in started if session.node_id in dirt.nodes]
        for session in sorted(dirty, key=lambda session: session.told_ms):  # nobody waits for ever
            session.told_ms = session.told_ms if looked_at >= limits.flush_tasks_max else self.now_ms
            if looked_at >= limits.flush_tasks_max:
                self.dirt.nodes.add(session.node_id)
                continue
            effects.extend(self._send_assignments(session, version))
            looked_at += len(session.assigned.tasks) + 1
        self.flushed_all = not self.dirt.nodes
        deltas = self._rebuild(dirt.networks, version)
        for session in started:
            effects.extend(self._send_deltas(session, deltas))
            if session.tables.keys() != session.networks:
                effects.extend(self._send_tables(session))
        return effects

    def _send_assignments(self, session: Session, version: ClusterVersion) -> list[Effect]:
        assigned = assignment_set(self.view, session.node_id)
        message = difference(session.assigned, assigned, session.version, version)
        session.assign(assigned)
        self.withdrawals.moved = True  # of a network the node has left it is asked no more
        if message is None:
            return []
        session.version = version
        return [Send(session.id, message)]

    def _rebuild(self, networks: set[str], version: ClusterVersion) -> dict[str, NetworkTableDelta]:
        """Build the tables of `networks` that somebody holds anew; return what changed."""
        deltas: dict[str, NetworkTableDelta] = {}
        for network_id in sorted(networks & self.tables.keys()):
            old, network = self.tables[network_id], self.view.get(Network, network_id)
            if network is None:
                del self.tables[network_id]
                self.past.forget(network_id)
                continue
            new = network_table(self.view, network, version)
            delta = table_delta(old, new)
            if not delta.empty:
                self.tables[network_id] = new
                deltas[network_id] = delta
                self.past.note(delta)
        return deltas

    def _send_deltas(self, session: Session, deltas: dict[str, NetworkTableDelta]) -> list[Effect]:
        effects: list[Effect] = []
        for network_id in sorted(session.tables.keys() & deltas.keys()):
            delta = deltas[network_id]
            if session.tables[network_id] == delta.applies_to:
                session.tables[network_id] = delta.version
                effects.append(Send(session.id, delta))
            else:
                del session.tables[network_id]
        return effects

    def _send_tables(self, session: Session) -> list[Effect]:
        """Send whole tables of the networks that the node is on and has no table of."""
        effects: list[Effect] = []
        for network in session.assigned.networks:
            if network.id not in session.tables:
                table = self.tables.get(network.id)
                if table is None:
                    table = self.tables[network.id] = network_table(self.view, network, self._version())
                session.tables[network.id] = table.version
                rest = self.past.rest(table, session.held.get(network.id))
                effects.extend(Send(session.id, each) for each in rest)
        return effects


_: type[Machine[Event, Effect]] = Sessions
