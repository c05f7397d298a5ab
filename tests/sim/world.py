"""The whole of it: managers, agents and clients on one network, under faults, from one seed.

    world = World(seed)
    world.run()            # raises Violated, or an assertion of the product's own

`profile` "raft" has managers and clients only, and is quick; "hasty" too, with leaders that die as soon as they lead;
"members" too, with managers that come and go all the time; "cluster" has agents, services and planners as well.

The others are about orchestration: "rollout" updates services while nodes are lost, "drain" drains and labels nodes
while cables are cut, "jobs" runs jobs while leaders fall.
"""

from collections.abc import Callable
from random import Random

from covey import errors, limits
from covey.model.objects import Cluster, Network, Node, NodeDescription, NodeStatus, Service
from covey.model.specs import ClusterSpec, NetworkSpec, NodeSpec
from covey.model.states import Availability, NodeRole
from manager.control import services
from manager.leader.invariants import validate
from manager.raft.core import Raft
from manager.raft.entry import Member, Membership, Stored
from manager.roles import quorum
from manager.roles.admission import next_step
from manager.store.draft import Draft
from manager.store.tables import Tables
from manager.store.transaction import Commit
from tests.sim.agent import Agent, Line
from tests.sim.checkers import Promises, Register, Violated, digest_of
from tests.sim.client import REGISTERS, Client
from tests.sim.clock import Clock
from tests.sim.faults import Faults
from tests.sim.history import History
from tests.sim.logs import Logs
from tests.sim.manager import Manager
from tests.sim.network import Network as Net
from tests.sim.profiles import ORCHESTRATION, WITH_AGENTS, wishes_of
from tests.sim.rollouts import Rollouts
from tests.sim.runs import Runs
from tests.sim.settled import CALM_MS, unsettled
from tests.sim.wanted import Wanted


class World:
    """One run. Everything random comes from `seed`. `core` makes a member: the place to plant a bug."""

    core: Callable[[Stored, Random, Membership | None], Raft] = staticmethod(Raft)

    def __init__(self, seed: int, profile: str = "raft") -> None:
        self.seed, self.profile = seed, profile
        self.dice = Random(seed)
        self.clock = Clock()
        self.network = Net(self.clock, Random(f"{seed} network"))
        self.promises, self.logs = Promises(), Logs()
        self.history, self.runs = History(), Runs(self)
        self.rollouts, self.wanted = Rollouts(self), Wanted()
        self.registers = [Register() for _ in range(REGISTERS)]
        self.faults = Faults(self)
        self.tell: Callable[[str], None] = lambda text: None  # what happens to nodes and managers
        self.calm = False
        self.writes = self.reads = self.services_made = 0
        self.lines: list[Line] = []
        self.agents: list[Agent] = []
        self._member_ids = Random(f"{seed} members")
        self._names = 0
        self.managers: dict[str, Manager] = {}
        for number in range(1, self.faults.managers + 1):
            self.managers[f"m{number}"] = Manager(self, f"m{number}", founding=number == 1)
        self.wishes = wishes_of(profile, self.faults.changes)

    # --- names ---

    def new_member_id(self) -> int:
        return self._member_ids.getrandbits(30) + 1

    def new_proposal(self) -> int:
        self._names += 1
        return self._names

    def new_name(self, what: str) -> str:
        self._names += 1
        return f"{what}{self._names}"

    def addresses(self) -> tuple[str, ...]:
        return tuple(self.managers)

    def agent(self, name: str) -> Agent:
        return next(agent for agent in self.agents if agent.name == name)

    def by_id(self, id: int) -> Manager | None:
        return next((manager for manager in self.managers.values() if manager.id == id), None)

    def membership_of(self, manager: Manager) -> Membership:
        return Membership((Member(manager.id, manager.name, manager.name),))

    def leader(self) -> Manager | None:
        """Who leads in the latest term."""
        leading = [manager for manager in self.managers.values() if manager.leads]
        return max(leading, key=lambda m: m.core.standing.term if m.core else 0, default=None)

    def gone(self, manager: Manager) -> None:
        """A manager lost its power; where the network tells, the others hear of it."""
        if self.dice.random() < 0.5:
            for line in self.lines:
                if line.manager is manager:
                    line.connection.end()
            for other in self.managers.values():
                if other is not manager:
                    self.clock.after(2.0, lambda other=other: other.lost(manager.id))  # type: ignore[misc]
        self.lines = [line for line in self.lines if not line.connection.broken]

    # --- the course of a run ---

    def run(self) -> None:
        """Begin, suffer, calm down, and see that all is well."""
        before = limits.raft_append_bytes_max, limits.raft_inflight_messages_max
        if self.faults.hasty:
            limits.raft_append_bytes_max, limits.raft_inflight_messages_max = 1, 1
        try:
            self._run()
        finally:
            limits.raft_append_bytes_max, limits.raft_inflight_messages_max = before

    def _run(self) -> None:
        self.clock.run(2_000)
        self._begin()
        self.clock.run(6_000)
        self.faults.begin()
        for number in range(3):
            Client(self, f"client{number}")
        self.clock.run(6_000 + self.faults.for_ms)
        self.calm = True
        self.faults.end()
        self._until_well()

    def _begin(self) -> None:
        first = self.managers["m1"]
        assert first.leads, "who founds leads"

        def content(draft: Draft) -> None:
            draft.put(Cluster(id="c", spec=ClusterSpec()))
            for name in self.managers:
                spec = NodeSpec(role=NodeRole.MANAGER, availability=Availability.DRAIN)
                node = Node(
                    id=name, spec=spec, role=NodeRole.MANAGER, description=NodeDescription(hostname=name)
                )
                draft.put(node)
            if self.profile in WITH_AGENTS:
                draft.put(Network(id="net-a", spec=NetworkSpec(name="a", ipv6=True)))
                draft.put(Network(id="net-ingress", spec=NetworkSpec(name="ingress", ingress=True)))
                for number in range(self.faults.nodes):
                    draft.put(Node(id=f"w{number}", status=NodeStatus()))

        first.update(content, lambda _: None)
        self._let_in()
        if self.profile in WITH_AGENTS:
            self.agents = [Agent(self, f"w{number}") for number in range(self.faults.nodes)]

    def _let_in(self) -> None:
        """What JoinRaft does: machines that are to be managers and are none ask until they are let in."""
        leader = self.leader()
        if leader is not None and leader.core is not None:
            core = leader.core
            for manager in self.managers.values():
                node = leader.tables.get(Node, manager.name)
                if manager.core is None or node is None or core.membership.get(manager.id) is not None:
                    continue
                if manager.id in core.committed_membership.removed:
                    manager.power_off()
                    manager.lose_disk()
                    manager.boot()
                elif node.role is NodeRole.MANAGER and node.spec.role is NodeRole.MANAGER:
                    newcomer = Member(manager.id, manager.name, manager.name, voter=False)
                    try:
                        wanted = next_step(core.membership, newcomer, quorum.present(core.status()), core.id)
                        if wanted is not None:
                            core.change(wanted)
                            self.faults.changed(leader)
                            leader.work()
                    except (errors.FailedPrecondition, errors.NotLeader, errors.Unavailable):
                        continue  # it asks again
        self.clock.after(150 if not self.calm else 400, self._let_in)

    def _until_well(self) -> None:
        until = self.clock.now_ms + CALM_MS
        why = "nothing was looked at"
        while self.clock.now_ms < until:
            self.clock.run(self.clock.now_ms + 500)
            why = self._unwell()
            if not why:
                break
        else:
            raise Violated(f"{CALM_MS / 1000:g} s after the last fault {why}")
        leader = self.leader()
        assert leader is not None
        self.promises.at_the_end(leader.applied)
        for register in self.registers:
            register.at_the_end()
        if self.profile == "cluster" and not self.faults.agents:
            self.runs.undisturbed()
        self.wanted.at_the_end(leader.tables)

    def _unwell(self) -> str:
        leader = self.leader()
        if leader is None or leader.core is None or leader.leading is None:
            return "nobody leads"
        members = {member.id for member in leader.core.membership.members}
        group = [manager for manager in self.managers.values() if manager.id in members]
        if len(group) < len(members):
            return "a member without a machine is still in the group"
        if any(manager.applied != leader.applied for manager in group):
            return f"members stand at {sorted(manager.applied for manager in group)}"
        if len({digest_of(manager.tables.objects()) for manager in group}) > 1:
            raise Violated("members that have applied the same hold different tables")
        return self._unserved(leader)

    def _unserved(self, leader: Manager) -> str:
        if self.profile in ORCHESTRATION:
            return unsettled(self, leader.tables) or "; ".join(validate(leader.tables))
        wanted = 0
        for service in leader.tables.all(Service):
            wanted += services.current_revision(leader.tables, service).spec.mode.replicas
        if self.profile in WITH_AGENTS and len(self.runs.now) != wanted:
            return f"{len(self.runs.now)} tasks run, and {wanted} are wanted"
        return "; ".join(validate(leader.tables))

    def heard(self, commit: Commit, tables: Tables) -> None:
        """Hear that a manager has applied a commit; the first of them is judged."""
        if self.profile in WITH_AGENTS and self.history.committed(commit, tables, self.clock.now_ms):
            self.rollouts.committed(commit, tables)
