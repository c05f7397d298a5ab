"""Whatever is committed, and however late the dispatcher hears of it, nodes come to have what the store says.

The planners make tasks and addresses as they do; services, nodes and keys change at random; agents hold what they were
sent, applied strictly, and register anew now and then.
"""

from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.session.tables import apply_delta
from agent.tasks.assigned import Held
from covey.machine import Tick
from covey.model.assignments import Assignments
from covey.model.objects import Cluster, ClusterVersion, Network, Node, NodeNetworking, Service, TunnelKey
from covey.model.specs import (
    ContainerSpec,
    EndpointSpec,
    NetworkAttachmentSpec,
    PortConfig,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
)
from covey.model.states import Affinity, Availability, EndpointMode, MeshMode, NodeState, PublishMode
from covey.model.tables import NetworkTable, NetworkTableDelta
from manager.dispatcher import events as told
from manager.dispatcher.assignments import assignment_set
from manager.dispatcher.sessions import Sessions
from manager.dispatcher.tables import network_table
from manager.store.transaction import Commit
from tests.support.planner_cluster import PlannerCluster

NODES = ("n1", "n2", "n3")
NETWORKS = ("net-v4", "net-both", "net-v6", "net-keys")
CAN = NodeNetworking(encryption="kernel")
HOSTNAMES = ("", "{{.Node.Hostname}}", "{{.Task.Slot}}-{{.Service.Name}}")


@dataclass
class Agent:
    """What a node holds. `session` is empty once it was ended."""

    session: str
    held: Held = field(default_factory=Held)
    tables: dict[str, NetworkTable] = field(default_factory=dict)

    def hear(self, message: Assignments | NetworkTable | NetworkTableDelta) -> None:
        """As an agent's session takes it."""
        if isinstance(message, Assignments):
            self.held.apply(message)
            self.tables = {id: each for id, each in self.tables.items() if id in self.held.networks}
        elif message.network_id in self.held.networks:
            id = message.network_id
            whole = isinstance(message, NetworkTable)
            self.tables[id] = message if whole else apply_delta(self.tables.get(id), message)


class World:
    """A cluster, and a dispatcher that hears of commits later than the store has them."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        self.cluster = PlannerCluster(seed, ingress=True)
        for name, spec in zip(NETWORKS, ({}, {"ipv6": True}, {"ipv4": False, "ipv6": True}, {}), strict=True):
            options = {"encrypted": ""} if name == "net-keys" else {}
            self.cluster.network(name.removeprefix("net-"), **spec, options=options)
        for name in NODES:
            self.cluster.node(name)
            self.cluster.describe(name, data_address=f"192.0.2.{name[1]}", networking=CAN)
        self.cluster.plan()
        self.made, self.sessions, self.now_ms = 0, 0, 1
        self.unheard: list[Commit] = []
        commit = self.cluster.tables.commit

        def kept(*given: object) -> Commit:
            self.unheard.append(commit(*given))  # type: ignore[arg-type]
            return self.unheard[-1]

        self.cluster.tables.commit = kept  # type: ignore[method-assign,assignment]
        self.agents: dict[str, Agent] = {}
        self.begin()

    def begin(self) -> None:
        """Another leader: it has the store, and no memory."""
        self.unheard.clear()
        self.dispatcher = Sessions(self.cluster.tables)
        self.dispatcher.step(Tick(self.now_ms))
        for name in NODES:
            self.register(name)

    def register(self, name: str) -> None:
        """An agent opens a session, with the tables it has, or with none."""
        node = self.cluster.tables.get(Node, name)
        assert node is not None
        self.sessions += 1
        before = self.agents.get(name)
        tables = dict(before.tables) if before is not None and self.dice.random() < 0.7 else {}
        self.agents[name] = Agent(f"{name}-{self.sessions}", tables=tables)
        versions = tuple((id, table.version) for id, table in tables.items())
        said = "192.0.2.9", node.description, ClusterVersion(), versions
        self.told(told.Registered(f"{name}-{self.sessions}", name, *said))

    def told(self, event: told.Event | Tick) -> None:
        """Feed the dispatcher, and the agents what comes of it."""
        for effect in self.dispatcher.step(event):
            agent = next((each for each in self.agents.values() if each.session == _session(effect)), None)
            match effect:
                case told.Send(_, message) if agent is not None:
                    agent.hear(message)
                case told.EndSession() if agent is not None:
                    agent.session = ""

    def turn(self) -> None:
        """Something is committed, some of it is heard of, and time passes."""
        dice = self.dice
        services, others = (self.create, self.change, self.end), (self.describe, self.manage, self.turn_keys)
        dice.choice([*services, *others, self.run, self.run])()
        if dice.random() < 0.05:
            self.begin()
        elif dice.random() < 0.05:
            self.register(dice.choice(NODES))
        self.hear(dice.choice([0, 1, len(self.unheard)]))
        self.pass_time(dice.choice([1, 30, 200]))

    def hear(self, number: int) -> None:
        heard, self.unheard = self.unheard[:number], self.unheard[number:]
        for commit in heard:
            self.told(told.Committed(commit))

    def pass_time(self, ms: int) -> None:
        self.now_ms += ms
        for agent in self.agents.values():
            self.told(told.HeartbeatReceived(agent.session))
        self.told(Tick(self.now_ms))

    # --- what is committed ----------------------------------------------------------------------------

    def spec(self) -> ServiceSpec:
        dice = self.dice
        on = [
            NetworkAttachmentSpec(each, aliases=(dice.choice("xy"),) * dice.randint(0, 1))
            for each in dice.sample(NETWORKS, dice.randint(0, 2))
        ]
        mode = dice.choice(list(EndpointMode))
        kinds = list(PublishMode) if mode is EndpointMode.VIP else [PublishMode.HOST]
        port = PortConfig(
            name=dice.choice(["", "http"]),
            target_port=80,
            published_port=dice.choice([0, 8000 + self.made]),
            publish_mode=dice.choice(kinds),
            mesh=dice.choice(list(MeshMode)),
        )
        container = ContainerSpec(hostname=dice.choice(HOSTNAMES))
        return ServiceSpec(
            name=f"s{self.made}",
            mode=ServiceMode(replicas=dice.randint(0, 4)),
            task=TaskSpec(container=container, networks=tuple(on)),
            endpoint=EndpointSpec(mode, (port,) * dice.randint(0, 1), affinity=dice.choice(list(Affinity))),
        )

    def create(self) -> None:
        self.made += 1
        self.cluster.create(self.spec())

    def _one(self) -> str:
        services = [each.id for each in self.cluster.tables.all(Service) if not each.pending_delete]
        return self.dice.choice(services) if services else ""

    def change(self) -> None:
        if id := self._one():
            new = self.spec()
            self.cluster.update(id, lambda spec: replace(new, name=spec.name))

    def end(self) -> None:
        if id := self._one():
            self.dice.choice([self.cluster.remove, self.cluster.stop])(id)

    def describe(self) -> None:
        dice, name = self.dice, self.dice.choice(NODES)
        keys = (TunnelKey(generation=dice.randint(0, 2)),) * dice.randint(0, 1)
        keeps, without = dice.random() < 0.5, dice.random() < 0.3
        can = replace(CAN, keeps_client_address=keeps, tunnel_keys=keys, without_ipv6=without)
        address = dice.choice(["", f"192.0.2.{name[1]}", f"198.51.100.{name[1]}"])
        self.cluster.describe(name, data_address=address, networking=can)

    def manage(self) -> None:
        dice = self.dice
        state = dice.choice([NodeState.READY, NodeState.READY, NodeState.DOWN])
        availability = dice.choice(list(Availability))
        self.cluster.set_node(dice.choice(NODES), state, availability, zone=dice.choice("xy"))

    def turn_keys(self) -> None:
        (cluster,) = self.cluster.tables.all(Cluster)
        newer = replace(cluster.tunnels, generation=cluster.tunnels.generation + 1)
        self.cluster.write(lambda draft: draft.put(replace(cluster, tunnels=newer)))

    def run(self) -> None:
        self.cluster.run(self.dice.choice([0.1, 0.5, 3]))

    # --- what must be ---------------------------------------------------------------------------------

    def check(self) -> None:
        """Every agent with a session has what the store says, once all is heard of."""
        self.hear(len(self.unheard))
        for _ in range(3):
            self.pass_time(300)
        view = self.cluster.tables
        for name, agent in self.agents.items():
            want, held = assignment_set(view, name), agent.held
            assert agent.session, "nobody was silent"
            assert held.tasks.keys() == {each.id for each in want.tasks}
            assert held.endpoints == {each.id: each for each in want.endpoints}
            assert held.networks == {each.id: each for each in want.networks}
            assert agent.tables.keys() == held.networks.keys()
            for id, table in agent.tables.items():
                network = view.get(Network, id)
                assert network is not None
                assert table == network_table(view, network, table.version)


def _session(effect: told.Effect) -> str:
    return getattr(effect, "session_id", "")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_tables_follow_what_is_committed(seed: int, turns: int) -> None:
    world = World(seed)
    for _ in range(turns):
        world.turn()
        if not world.unheard:
            world.check()
    world.check()
