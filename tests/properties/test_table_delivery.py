"""Tables on their way from a leader to nodes: messages are lost, streams cut, agents and leaders killed.

In the end each node has exactly the tables of the networks it has tasks on, as they are, and the leader knows it.
"""

from collections import deque
from dataclasses import dataclass, field
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

import agent.session.events as talk
from agent.session.machine import NEVER, Session
from agent.session.messages import Alive, Down, Heartbeat, Register, SessionStarted, TablesApplied
from agent.tasks.io.journal import CHANGE, TABLE, TableJournal, put_together
from covey.machine import Tick
from covey.model.objects import ClusterVersion, Endpoint, Network, NodeDescription, Task
from covey.model.specs import NetworkSpec
from covey.model.states import EndpointState
from covey.model.tables import NetworkTable, NetworkTableDelta
from manager.dispatcher import events as told
from manager.dispatcher.sessions import Sessions
from manager.dispatcher.tables import network_table
from manager.store.draft import Draft
from tests.support.cluster_objects import change, task, two_nodes_one_service

NETWORKS = ("net", "net2")


@dataclass
class Node:
    """An agent's session and its disk, and what is under way to it."""

    id: str
    disk: dict[tuple[str, str], msgspec.Struct] = field(default_factory=dict)
    last_seen: ClusterVersion = NEVER
    under_way: deque[tuple[int, Down]] = field(default_factory=deque)
    to_apply: list[NetworkTable] = field(default_factory=list)
    served_as: str = ""
    streams: int = 0

    def __post_init__(self) -> None:
        self.begin(0)

    def put(self, kind: str, id: str, value: msgspec.Struct | None) -> None:
        """A row of the agent's database."""
        if value is None:
            self.disk.pop((kind, id), None)
        else:
            self.disk[kind, id] = value

    def begin(self, now_ms: int) -> None:
        """Another agent, with what the disk has."""
        tables = {id: row for (kind, id), row in self.disk.items() if kind == TABLE}
        changes = {id: row for (kind, id), row in self.disk.items() if kind == CHANGE}
        found = put_together(
            {id: msgspec.convert(row, NetworkTable) for id, row in tables.items()},
            {id: msgspec.convert(row, NetworkTableDelta) for id, row in changes.items()},
        )
        self.journal = TableJournal(self, changes)
        self.session = Session(
            NodeDescription(hostname=self.id, data_address=f"192.0.2.{self.id[1:]}"),
            ("m1:2377",),
            Random(1),
            self.last_seen,
            found,
        )
        self.streams += 1000  # those of the one before are another's
        self.session.number = self.streams
        self.session.now_ms = now_ms
        self.under_way.clear()
        self.to_apply = list(found.values())  # an agent that begins has the kernel follow what the disk has


class World:
    """A store, its leader's dispatcher, and two nodes."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.store = two_nodes_one_service()
        change(self.store, Network(id="net2", spec=NetworkSpec(name="net2"), vni=4097))
        self.leader = Sessions(self.store)
        self.nodes = {id: Node(id) for id in ("n1", "n2")}
        self.now_ms = 1
        self.made = 0

    # --- what happens ---------------------------------------------------------------------------------

    def commit(self) -> None:
        """A task comes, changes or goes, on some network."""
        draft, dice = Draft(self.store), self.dice
        endpoints = self.store.all(Endpoint)
        kind = dice.random()
        if kind < 0.5 or not endpoints:
            self.made += 1
            node = dice.choice(["n1", "n2"])
            draft.put(task(f"x{self.made}", node))
            draft.put(
                Endpoint(
                    id=f"e{self.made + 100}",
                    network_id=dice.choice(NETWORKS),
                    node_id=node,
                    task_id=f"x{self.made}",
                    service_id="web",
                    number=self.made,
                    addresses=(f"10.0.1.{self.made}",),
                    state=EndpointState.ACTIVE,
                )
            )
        elif kind < 0.75:
            one = dice.choice(list(endpoints))
            draft.put(msgspec.structs.replace(one, state=dice.choice(list(EndpointState))))
        else:
            one = dice.choice(list(endpoints))
            draft.delete(Endpoint, one.id)
            draft.delete(Task, one.task_id)
        self.told(self.leader.step(told.Committed(self.store.commit(draft.transaction()))))

    def another_leader(self) -> None:
        """Every stream breaks, and what the leader had in memory is lost."""
        for node in self.nodes.values():
            self.cut(node)
        self.leader = Sessions(self.store)
        self.leader.step(Tick(self.now_ms))

    def cut(self, node: Node) -> None:
        """The stream breaks; what was under way is lost."""
        node.under_way.clear()
        served, node.served_as = node.served_as, ""
        if served:
            self.told(self.leader.step(told.Disconnected(served)))
        self.does(node, node.session.step(talk.Disconnected(node.session.number, "cut")))

    def kill(self, node: Node) -> None:
        """The agent ends and another begins."""
        served, node.served_as = node.served_as, ""
        if served:
            self.told(self.leader.step(told.Disconnected(served)))
        node.begin(self.now_ms)

    def pass_time(self, ms: int) -> None:
        """Let time pass for everybody."""
        self.now_ms += ms
        self.told(self.leader.step(Tick(self.now_ms)))
        for node in self.nodes.values():
            self.does(node, node.session.step(Tick(self.now_ms)))

    def deliver(self, node: Node) -> None:
        """The next message arrives."""
        if node.under_way:
            number, message = node.under_way.popleft()
            self.does(node, node.session.step(talk.Heard(number, message)))

    def apply(self, node: Node) -> None:
        """The kernel follows the table that came first of those it does not follow yet."""
        if node.to_apply:
            table = node.to_apply.pop(0)
            self.does(node, node.session.step(talk.TableInForce(table.network_id, table.version)))

    # --- what comes of it -----------------------------------------------------------------------------

    def told(self, effects: object) -> None:
        """What the leader says goes on its way; what it writes does not matter here."""
        for effect in list(effects):  # type: ignore[call-overload]
            session_id = getattr(effect, "session_id", "")
            node = next((each for each in self.nodes.values() if each.served_as == session_id), None)
            if node is None or not session_id:
                continue
            number = int(session_id.partition("-")[2])
            match effect:
                case told.StartSession(_, period_ms, version):
                    started = SessionStarted(session_id, period_ms, version, ("m1:2377",))
                    node.under_way.append((number, started))
                case told.Send(_, message):
                    node.under_way.append((number, message))
                case told.AnswerAlive():
                    node.under_way.append((number, Alive()))
                case told.EndSession(_, reason):
                    node.served_as = ""
                    self.does(node, node.session.step(talk.Disconnected(number, reason)))

    def does(self, node: Node, effects: object) -> None:
        """What the agent does."""
        for effect in list(effects):  # type: ignore[call-overload]
            match effect:
                case talk.Dial(number):
                    self.does(node, node.session.step(talk.Connected(number)))
                case talk.Send(number, Register(description, last_seen, held)):
                    node.served_as = f"{node.id}-{number}"
                    versions = tuple((each.network_id, each.version) for each in held)
                    who = node.served_as, node.id, "192.0.2.9"
                    known = told.Registered(*who, description, last_seen, versions)
                    self.told(self.leader.step(known))
                case talk.Send(_, Heartbeat()) if node.served_as:
                    self.told(self.leader.step(told.HeartbeatReceived(node.served_as)))
                case talk.Send(_, TablesApplied(versions)) if node.served_as:
                    said = tuple((each.network_id, each.version) for each in versions)
                    self.told(self.leader.step(told.TablesInForce(node.served_as, said)))
                case talk.HangUp():
                    served, node.served_as = node.served_as, ""
                    node.under_way.clear()
                    if served:
                        self.told(self.leader.step(told.Disconnected(served)))
                case talk.UseTable(table, changed):
                    node.journal.use(table, changed)
                    node.to_apply = [each for each in node.to_apply if each.network_id != table.network_id]
                    node.to_apply.append(table)
                case talk.DropTable(network_id):
                    node.journal.drop(network_id)
                    node.to_apply = [each for each in node.to_apply if each.network_id != network_id]
                case talk.Remember(last_seen):
                    node.last_seen = last_seen

    def settle(self) -> None:
        """Let everything arrive."""
        for _ in range(200):
            self.pass_time(500)
            for node in self.nodes.values():
                while node.under_way:
                    self.deliver(node)
                while node.to_apply:
                    self.apply(node)


def content(table: NetworkTable) -> NetworkTable:
    return msgspec.structs.replace(table, version=ClusterVersion())


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 60))
def test_every_node_ends_with_the_tables_of_its_networks_and_no_others(seed: int, steps: int) -> None:
    dice = Random(seed)
    world, broken = World(dice), set[str]()
    for _ in range(steps):
        node = dice.choice(list(world.nodes.values()))
        lucky = dice.random()
        if lucky < 0.3:
            world.commit()
        elif lucky < 0.6:
            world.deliver(node)
        elif lucky < 0.75:
            world.pass_time(dice.choice([10, 100, 600]))
        elif lucky < 0.85:
            world.apply(node)
        elif lucky < 0.9 and node.under_way:
            node.under_way.popleft()  # lost, and nobody knows yet; a stream that loses something breaks later
            broken.add(node.id)
        elif lucky < 0.94:
            world.cut(node)
        elif lucky < 0.98:
            world.kill(node)
        else:
            world.another_leader()
        for each in world.nodes.values():
            assert set(each.session.in_force) <= set(each.session.tables), "of others it says nothing"
    for id in sorted(broken):
        world.cut(world.nodes[id])
    world.settle()
    for node in world.nodes.values():
        mine = {each.network_id for each in world.store.all(Endpoint) if each.node_id == node.id}
        assert set(node.session.tables) == mine, "those it has tasks on, and no others"
        for network_id in mine:
            network = world.store.get(Network, network_id)
            assert network is not None
            whole = network_table(world.store, network, NEVER)
            assert content(node.session.tables[network_id]) == content(whole)
            held = node.session.tables[network_id].version
            assert node.session.in_force[network_id] == held
            assert world.leader.applied(network_id)[node.id] == held, "the leader knows that it follows"
        on_disk = {id for kind, id in node.disk if kind == TABLE}
        assert on_disk == mine
    assert list(world.leader.behind()) == []
