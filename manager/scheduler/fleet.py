"""The fleet: every node with what it has, and what tasks have claimed of it. A cache of the store."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from covey.model.objects import Node
from covey.model.specs import GenericResource
from covey.model.states import Availability, NodeState, Protocol

from .demand import Claim, Port


class Host:
    """One node and its claims."""

    __slots__ = ("active", "by_service", "given", "memory_bytes", "nano_cpus", "node", "ports")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.active = 0
        self.by_service: dict[str, int] = {}
        self.nano_cpus = 0  # reserved
        self.memory_bytes = 0  # reserved
        self.ports: dict[tuple[Protocol, int], dict[str, set[str]]] = {}  # by number and address: by whom
        self.given = Counter[tuple[str, str]]()  # generic resources, by kind and (where they have one) name

    @property
    def name(self) -> str:
        """What people call the node."""
        return self.node.description.hostname or self.node.id

    @property
    def open(self) -> bool:
        """Tell whether the node answers, and people let it be used."""
        node = self.node
        return node.status.state is NodeState.READY and node.spec.availability is Availability.ACTIVE

    @property
    def free_nano_cpus(self) -> int:
        """CPUs that nobody has reserved."""
        return self.node.description.resources.nano_cpus - self.nano_cpus

    @property
    def free_memory_bytes(self) -> int:
        """Memory that nobody has reserved."""
        return self.node.description.resources.memory_bytes - self.memory_bytes

    def free(self, kind: str) -> int:
        """How many of a kind of generic resource nobody has been given.

        What was given by number counts against names too: a host that now names them has no more than before.
        """
        counted = sum(has.count for has in self._counted(kind)) - self.given[kind, ""]
        return max(counted + len(self._free_names(kind)), 0)

    def has(self, kind: str) -> int:
        """How many of a kind of generic resource there are, given or not."""
        return sum(each.count or 1 for each in self.node.description.resources.generic if each.kind == kind)

    def pick(self, wanted: Iterable[tuple[str, int]]) -> tuple[GenericResource, ...]:
        """Choose generic resources for a task that there is room for; named ones in the order of their names."""
        picked: list[GenericResource] = []
        for kind, count in wanted:
            names = self._free_names(kind)[:count]
            picked += [GenericResource(kind=kind, value=name, count=1) for name in names]
            if count > len(names):
                picked.append(GenericResource(kind=kind, count=count - len(names)))
        return tuple(picked)

    def _counted(self, kind: str) -> list[GenericResource]:
        return [has for has in self.node.description.resources.generic if has.kind == kind and not has.value]

    def _free_names(self, kind: str) -> list[str]:
        resources = self.node.description.resources.generic
        names = {has.value for has in resources if has.kind == kind and has.value}
        return sorted(name for name in names if not self.given[kind, name])

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
        for given in claim.given:
            self.given[given.kind, given.value] += sign * given.count
        for protocol, number, address in claim.demand.ports:
            by_address = self.ports.setdefault((protocol, number), {})
            holders = by_address.setdefault(address, set())
            (holders.add if sign > 0 else holders.discard)(task_id)
            if not holders:
                del by_address[address]
            if not by_address:
                del self.ports[protocol, number]

    def holders(self, port: Port) -> set[str]:
        """The tasks that have a port on the same address of the node; who has all addresses meets everybody."""
        protocol, number, address = port
        by_address = self.ports.get((protocol, number), {})
        met = [tasks for other, tasks in by_address.items() if not address or not other or other == address]
        return set[str]().union(*met)


class Fleet:
    """All hosts. `version` rises whenever a task that found no room might find some."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self.version = 0
        self._claims: dict[str, Claim] = {}
        self._slots: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
        self._homeless: defaultdict[str, set[str]] = defaultdict(set)  # claims on nodes not known (yet)
        self._sorted: list[Host] | None = None
        self._levels: defaultdict[int, dict[str, Host]] = defaultdict(dict)  # open hosts by active tasks

    def sorted(self) -> list[Host]:
        """All hosts by node id."""
        if self._sorted is None:
            self._sorted = [self.hosts[id] for id in sorted(self.hosts)]
        return self._sorted

    def by_load(self) -> Iterator[Host]:
        """The open hosts, those with the fewest tasks first; nothing may be claimed while this goes on."""
        for level in sorted(self._levels):
            yield from self._levels[level].values()

    def _level(self, host: Host, *, present: bool) -> None:
        if present and host.open:
            self._levels[host.active][host.node.id] = host
        elif not present:
            level = self._levels.get(host.active)
            if level is not None:
                level.pop(host.node.id, None)
                if not level:
                    del self._levels[host.active]

    def observe_node(self, id: str, node: Node | None) -> None:
        """Take up a node as it is now."""
        host = self.hosts.get(id)
        if node is None:
            if host is not None:
                self._level(host, present=False)
                del self.hosts[id]
                self._homeless[id].update(t for t, claim in self._claims.items() if claim.node_id == id)
                self._sorted = None
                self.version += 1  # the explanation changes, if nothing else
        elif host is None:
            host = self.hosts[id] = Host(node)
            for task_id in self._homeless.pop(id, ()):
                host.add(task_id, self._claims[task_id], 1)
            self._level(host, present=True)
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
            self._level(host, present=False)
            host.node = node
            self._level(host, present=True)

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
                self._count(host, task_id, before, -1)
            else:
                self._homeless[before.node_id].discard(task_id)
            self.version += 1
        if claim is not None:
            self._claims[task_id] = claim
            self._file(task_id, claim, present=True)
            host = self.hosts.get(claim.node_id)
            if host is not None:
                self._count(host, task_id, claim, 1)
            else:
                self._homeless[claim.node_id].add(task_id)

    def _count(self, host: Host, task_id: str, claim: Claim, sign: int) -> None:
        if claim.active:
            self._level(host, present=False)
        host.add(task_id, claim, sign)
        if claim.active:
            self._level(host, present=True)

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
