"""People: they write and read registers through any manager, make services, and change who manages."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from msgspec.structs import replace

from covey import errors
from covey.model.objects import Node, NodeDescription, Service
from covey.model.specs import (
    ContainerSpec,
    EndpointSpec,
    NetworkAttachmentSpec,
    NodeSpec,
    PortConfig,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
)
from covey.model.states import NodeRole
from manager.control import nodes, services
from manager.store.draft import Draft
from manager.store.tables import Tables
from manager.store.transaction import Commit

if TYPE_CHECKING:
    from tests.sim.manager import Manager
    from tests.sim.world import World

REGISTERS = 3


class Client:
    """One person. What came of each wish is checked against what all others have seen."""

    def __init__(self, world: "World", name: str) -> None:
        self.world, self.name = world, name
        self.dice = Random(f"{world.seed} {name}")
        self._next()

    def _next(self) -> None:
        if self.world.calm:
            return
        self.dice.choice(self.world.wishes)(self)
        self.world.clock.after(self.dice.uniform(*self.world.faults.wish_pause_ms), self._next)

    def ask(self, act: Callable[["Manager"], None]) -> None:
        """Come to a manager, which passes on to whom it takes for the leader."""
        manager = self.dice.choice(list(self.world.managers.values()))
        if manager.core is None:
            return
        leader = self.world.by_id(manager.core.standing.leader)
        if leader is None or not self.world.network.carries(manager.name, leader.name):
            return
        self.world.clock.after(self.dice.uniform(0.2, 3), lambda: act(leader) if leader.leads else None)

    # --- registers ---

    def write(self) -> None:
        """Write a value nobody else writes."""
        which = self.dice.randrange(REGISTERS)
        value, began = self.world.new_name("value"), self.world.clock.now_ms
        register = self.world.registers[which]

        def change(draft: Draft) -> None:
            node = draft.get(Node, f"register{which}") or Node(id=f"register{which}")
            draft.put(replace(node, description=NodeDescription(hostname=value)))

        def outcome(result: Commit | Exception) -> None:
            if isinstance(result, Commit):
                register.done(began, self.world.clock.now_ms, result.index, value, wrote=True)
                self.world.writes += 1
            elif not isinstance(result, errors.Refused):
                register.unknown(began, value)

        self.ask(lambda leader: leader.update(change, outcome))

    def read(self) -> None:
        """Read through any manager."""
        which = self.dice.randrange(REGISTERS)
        began, register = self.world.clock.now_ms, self.world.registers[which]

        def outcome(tables: Tables | None) -> None:
            if tables is not None:
                node = tables.get(Node, f"register{which}") or Node()
                seen = node.description.hostname
                register.done(began, self.world.clock.now_ms, node.meta.version, seen, wrote=False)
                self.world.reads += 1

        self.dice.choice(list(self.world.managers.values())).read(outcome)

    # --- services ---

    def create(self) -> None:
        """Make a service on the network, some of them with a published port."""
        if self.world.services_made >= self.world.faults.services_max:
            return
        self.world.services_made += 1
        ports = (PortConfig(target_port=80),) if self.dice.random() < 0.4 else ()
        spec = ServiceSpec(
            name=self.world.new_name("service"),
            task=TaskSpec(
                container=ContainerSpec(image="good:1"), networks=(NetworkAttachmentSpec(target="net-a"),)
            ),
            mode=ServiceMode(replicas=self.dice.randint(1, 4)),
            endpoint=EndpointSpec(ports=ports),
        )
        self.ask(
            lambda leader: leader.update(
                lambda draft: services.create_service(draft, spec, self.dice), lambda _: None
            )
        )

    def scale(self) -> None:
        """Ask for more of a service; for less too, where the run allows tasks to be ended."""

        def change(draft: Draft) -> None:
            there = [service for service in draft.all(Service) if not service.pending_delete]
            if not there:
                return
            service = self.dice.choice(there)
            spec = services.current_revision(draft, service).spec
            fewest = 0 if self.world.faults.agents else spec.mode.replicas
            wanted = self.dice.randint(fewest, max(fewest, 5))
            mode = replace(spec.mode, replicas=wanted)
            services.update_service(
                draft, service.id, service.meta.version, replace(spec, mode=mode), self.dice
            )

        self.ask(lambda leader: leader.update(change, lambda _: None))

    # --- who manages ---

    def promote_or_demote(self) -> None:
        """Change what a manager's machine is to be, if the manager asked lets us."""
        name = self.dice.choice(list(self.world.managers))

        def act(leader: "Manager") -> None:
            node = leader.tables.get(Node, name)
            if node is None or leader.core is None:
                return
            managing = node.spec.role is NodeRole.MANAGER
            wanted = sum(other.spec.role is NodeRole.MANAGER for other in leader.tables.all(Node))
            if managing and wanted <= 2:
                return
            role = NodeRole.WORKER if managing else NodeRole.MANAGER
            spec: NodeSpec = replace(node.spec, role=role)
            leader.update(
                lambda draft: draft.put(replace(nodes._present(draft, name), spec=spec)), lambda _: None
            )

        self.ask(act)
