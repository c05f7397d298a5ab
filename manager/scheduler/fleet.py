"""The fleet: every node with what it has, and what tasks have claimed of it. A cache of the store."""

from collections import defaultdict

from covey.model.objects import Node

from .demand import Claim, Port


class Host:
    """One node and its claims."""

    __slots__ = ("active", "by_service", "memory_bytes", "nano_cpus", "node", "ports")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.active = 0
        self.by_service: dict[str, int] = {}
        self.nano_cpus = 0  # reserved
        self.memory_bytes = 0  # reserved
        self.ports: dict[Port, set[str]] = {}  # by whom

    @property
    def name(self) -> str:
        """What people call the node."""
        return self.node.description.hostname or self.node.id

    @property
    def free_nano_cpus(self) -> int:
        """CPUs that nobody has reserved."""
        return self.node.description.resources.nano_cpus - self.nano_cpus

    @property
    def free_memory_bytes(self) -> int:
        """Memory that nobody has reserved."""
        return self.node.description.resources.memory_bytes - self.memory_bytes

    def count(self, service_id: str) -> int:
        """How many tasks of a service are meant to run here."""
        return self.by_service.get(service_id, 0)

    def add(self, task_id: str, claim: Claim, sign: int) -> None:
        """Count a claim in (1) or out (-1)."""
        if claim.active:
            self.active += sign
            left = self.by_service.get(claim.service_id, 0) + sign
            if left:
                self.by_service[claim.service_id] = left
            else:
                del self.by_service[claim.service_id]
        self.nano_cpus += sign * claim.demand.nano_cpus
        self.memory_bytes += sign * claim.demand.memory_bytes
        for port in claim.demand.ports:
            holders = self.ports.setdefault(port, set())
            (holders.add if sign > 0 else holders.discard)(task_id)
            if not holders:
                del self.ports[port]


class Fleet:
    """All hosts. `version` rises whenever a task that found no room might find some."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self.version = 0
        self._claims: dict[str, Claim] = {}
        self._slots: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
        self._homeless: defaultdict[str, set[str]] = defaultdict(set)  # claims on nodes not known (yet)
        self._sorted: list[Host] | None = None

    def sorted(self) -> list[Host]:
        """All hosts by node id."""
        if self._sorted is None:
            self._sorted = [self.hosts[id] for id in sorted(self.hosts)]
        return self._sorted

    def observe_node(self, id: str, node: Node | None) -> None:
        """Take up a node as it is now."""
        host = self.hosts.get(id)
        if node is None:
            if host is not None:
                del self.hosts[id]
                self._homeless[id].update(t for t, claim in self._claims.items() if claim.node_id == id)
                self._sorted = None
                self.version += 1  # the explanation changes, if nothing else
        elif host is None:
            host = self.hosts[id] = Host(node)
            for task_id in self._homeless.pop(id, ()):
                host.add(task_id, self._claims[task_id], 1)
            self._sorted = None
            self.version += 1
        else:
            if (host.node.spec, host.node.description, host.node.status, host.node.role) != (
                node.spec,
                node.description,
                node.status,
                node.role,
            ):
                self.version += 1
            host.node = node

    def observe_claim(self, task_id: str, claim: Claim | None) -> None:
        """Take up what a task claims now; None if it claims nothing."""
        before = self._claims.get(task_id)
        if before == claim:
            return
        if before is not None:
            del self._claims[task_id]
            self._file(task_id, before, present=False)
            host = self.hosts.get(before.node_id)
            if host is not None:
                host.add(task_id, before, -1)
            else:
                self._homeless[before.node_id].discard(task_id)
            self.version += 1
        if claim is not None:
            self._claims[task_id] = claim
            self._file(task_id, claim, present=True)
            host = self.hosts.get(claim.node_id)
            if host is not None:
                host.add(task_id, claim, 1)
            else:
                self._homeless[claim.node_id].add(task_id)

    def _file(self, task_id: str, claim: Claim, *, present: bool) -> None:
        if claim.slot and claim.active:
            slot = self._slots[claim.service_id, claim.slot]
            (slot.add if present else slot.discard)(task_id)
            if not slot:
                del self._slots[claim.service_id, claim.slot]

    def in_slot(self, service_id: str, slot: int) -> list[str]:
        """The nodes that already run a task in a slot: one that a rollout is about to replace."""
        if not slot or (service_id, slot) not in self._slots:
            return []
        return [self._claims[task_id].node_id for task_id in self._slots[service_id, slot]]
