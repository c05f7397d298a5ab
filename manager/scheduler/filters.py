"""Filters: each rules nodes out for one reason, and can say so. A new one is a class and a line in `FILTERS`."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from covey.model.constraint import Constraint
from covey.model.network_options import MACVLAN, encrypted, parent
from covey.model.platforms import made_for
from covey.model.specs import Platform
from covey.model.states import Availability, NodeState

from .amounts import apart, in_bytes, in_cpus
from .demand import Demand
from .fleet import Host
from .group import Group

UNLIMITED = 1 << 40


class Reason(NamedTuple):
    """Why some nodes were ruled out, and what would change it (empty if nothing simple would)."""

    detail: str
    remedy: str = ""


class Filter(Protocol):
    """One reason for which a node may be no place for a task."""

    name: str

    def set(self, group: Group) -> bool:
        """Take up what a group asks; False if this filter has nothing to say about it."""
        ...

    def room(self, host: Host) -> int:
        """Say how many more tasks of the group may go to a node."""
        ...

    def explain(self, hosts: Sequence[Host]) -> Reason:
        """Say why these nodes, and there is at least one, have no room."""
        ...


class Usable:
    """The node answers, and people let it be used."""

    name = "availability"

    def set(self, group: Group) -> bool:
        """Every task needs a node that is there."""
        return True

    def room(self, host: Host) -> int:
        """All or nothing."""
        return UNLIMITED if host.open else 0

    def explain(self, hosts: Sequence[Host]) -> Reason:
        """Count what is the matter with them."""
        counts = Counter(self._matter(host) for host in hosts)
        detail = ", ".join(f"{number} {matter}" for matter, number in sorted(counts.items()))
        set_aside = next((h for h in hosts if h.node.status.state is NodeState.READY), None)
        if set_aside is not None:
            return Reason(detail, f"covey node update --availability active {set_aside.name}")
        return Reason(detail, f"bring {hosts[0].name} back")

    def _matter(self, host: Host) -> str:
        state, availability = host.node.status.state, host.node.spec.availability
        if state is not NodeState.READY:
            return state.name.lower()
        return {Availability.DRAIN: "drained", Availability.PAUSE: "paused"}.get(availability, "busy")


class Reserved:
    """What the task reserves is free on the node."""

    name = "resources"

    def __init__(self) -> None:
        self._demand = Demand()

    def set(self, group: Group) -> bool:
        """Only tasks that reserve something are concerned."""
        self._demand = group.demand
        return bool(group.demand.nano_cpus or group.demand.memory_bytes)

    def room(self, host: Host) -> int:
        """As often as the demand fits into what is free."""
        demand, room = self._demand, UNLIMITED
        if demand.nano_cpus:
            room = host.free_nano_cpus // demand.nano_cpus
        if demand.memory_bytes:
            room = min(room, host.free_memory_bytes // demand.memory_bytes)
        return max(room, 0)

    def explain(self, hosts: Sequence[Host]) -> Reason:
        """Name what is short, and the node that comes closest."""
        demand = self._demand
        cpus = max(hosts, key=lambda host: host.free_nano_cpus)
        memory = max(hosts, key=lambda host: host.free_memory_bytes)
        details: list[str] = []
        if cpus.free_nano_cpus < demand.nano_cpus:
            free = max(cpus.free_nano_cpus, 0)
            details.append(
                f"needs {in_cpus(demand.nano_cpus)} cpus, best free is {in_cpus(free)} on {cpus.name}"
            )
        if memory.free_memory_bytes < demand.memory_bytes:
            needed, best = apart(demand.memory_bytes, max(memory.free_memory_bytes, 0))
            details.append(f"needs {needed} memory, best free is {best} on {memory.name}")
        if not details:
            needs = f"{in_cpus(demand.nano_cpus)} cpus and {in_bytes(demand.memory_bytes)} memory"
            details.append(f"needs {needs}, and no node has both free")
        return Reason(" and ".join(details), self._remedy(hosts))

    def _remedy(self, hosts: Sequence[Host]) -> str:
        """Name a node that is large enough and what is to be freed there; if none is, say so."""
        demand = self._demand
        large = [
            host
            for host in hosts
            if host.node.description.resources.nano_cpus >= demand.nano_cpus
            and host.node.description.resources.memory_bytes >= demand.memory_bytes
        ]
        if not large:
            return "reserve less, or add a larger node: none of them has as much, even with nothing on it"
        host = min(large, key=self._shortage)
        lacks: list[str] = []
        if (cpus := demand.nano_cpus - host.free_nano_cpus) > 0:
            lacks.append(f"{in_cpus(cpus)} cpus")
        if (memory := demand.memory_bytes - host.free_memory_bytes) > 0:
            lacks.append(f"{in_bytes(memory)} memory")
        return f"free {' and '.join(lacks)} on {host.name}"

    def _shortage(self, host: Host) -> float:
        """What is missing on a node, as a share of what is needed."""
        demand = self._demand
        cpus = max(demand.nano_cpus - host.free_nano_cpus, 0) / max(demand.nano_cpus, 1)
        return cpus + max(demand.memory_bytes - host.free_memory_bytes, 0) / max(demand.memory_bytes, 1)


class Equipped:
    """The generic resources that the task reserves are free on the node."""

    name = "generic resources"

    def __init__(self) -> None:
        self._wanted: tuple[tuple[str, int], ...] = ()

    def set(self, group: Group) -> bool:
        """Only tasks that reserve some are concerned."""
        self._wanted = group.demand.generic
        return bool(self._wanted)

    def room(self, host: Host) -> int:
        """As often as the scarcest of them is free."""
        return min(host.free(kind) // count for kind, count in self._wanted)

    def explain(self, hosts: Sequence[Host]) -> Reason:
        """Name a kind that is short everywhere, and the node that comes closest."""
        for kind, count in self._wanted:
            best = max(hosts, key=lambda host: host.free(kind))
            if best.free(kind) >= count:
                continue
            most = max(hosts, key=lambda host: host.has(kind))
            if not most.has(kind):
                return Reason(f"needs {count} {kind}, which none of them has", f"add a node with {kind}")
            detail = f"needs {count} {kind}, best free is {best.free(kind)} on {best.name}"
            if most.has(kind) < count:
                return Reason(
                    detail, f"reserve {most.has(kind)} {kind} at most, or add a node with {count} {kind}"
                )
            large = max((host for host in hosts if host.has(kind) >= count), key=lambda host: host.free(kind))
            return Reason(detail, f"free {count - large.free(kind)} {kind} on {large.name}")
        wanted = " and ".join(f"{count} {kind}" for kind, count in self._wanted)
        return Reason(f"needs {wanted}, and no node has them all free", "add a node that has")


class Constrained:
    """The node satisfies the constraints of the service."""

    name = "constraint"

    def __init__(self) -> None:
        self._constraints: tuple[Constraint, ...] = ()

    def set(self, group: Group) -> bool:
        """Only services with constraints are concerned."""
        self._constraints = group.constraints
        return bool(self._constraints)

    def room(self, host: Host) -> int:
        """All or nothing."""
        return UNLIMITED if all(c.holds(host.node) for c in self._constraints) else 0

    def explain(self, hosts: Sequence[Host]) -> Reason:
        """Name the constraints that fail on any of them."""
        failing = [c for c in self._constraints if not all(c.holds(host.node) for host in hosts)]
        remedies = (_label_of(c) for c in failing if c.equal)
        return Reason(", ".join(str(c) for c in failing), next(filter(None, remedies), ""))


class Runnable:
    """The image is made for the node's operating system and architecture."""

    name = "platform"

    def __init__(self) -> None:
        self._platforms: tuple[Platform, ...] = ()

    def set(self, group: Group) -> bool:
        """Only services whose platforms are known are concerned."""
        self._platforms = group.placement.platforms
        return bool(self._platforms)

    def room(self, host: Host) -> int:
        """All or nothing."""
        return UNLIMITED if made_for(self._platforms, host.node) else 0

    def explain(self, hosts: Sequence[Host]) -> Reason:
        """Name both sides."""
        theirs = sorted({_platform(host.node.description.platform) for host in hosts})
        ours = ", ".join(_platform(p) for p in self._platforms)
        return Reason(f"the image is for {ours}, not {', '.join(theirs)}", f"add a node of {ours}")


class PortsFree:
    """The node's own ports that the task publishes on are free."""

    name = "host port"

    def __init__(self) -> None:
        self._group: Group | None = None

    def set(self, group: Group) -> bool:
        """Only services with ports in host mode are concerned."""
        self._group = group
        return bool(group.demand.ports)

    def room(self, host: Host) -> int:
        """One at most: two tasks cannot share a port."""
        assert self._group is not None, "a filter is set before it is asked"
        return 0 if any(host.holders(port) for port in self._group.demand.ports) else 1

    def explain(self, hosts: Sequence[Host]) -> Reason:
        """Name a port, a node and the task that has it."""
        assert self._group is not None, "a filter is set before it is asked"
        host = hosts[0]
        ports = self._group.demand.ports
        port = next((each for each in ports if host.holders(each)), ports[0])
        holder = min(host.holders(port) or {""})
        text = f"{port[1]}/{port[0].name.lower()}"
        detail = f"{text} is taken on {host.name} by {self._group.name_of(holder)}"
        return Reason(detail, "publish another port, or add a node")


class Encrypting:
    """The node can encrypt, where a network of the task's is encrypted: its packets never leave in plaintext."""

    name = "encryption"

    def __init__(self) -> None:
        self._network = ""

    def set(self, group: Group) -> bool:
        """Only tasks on encrypted networks are concerned."""
        self._network = next((each.spec.name for each in group.networks if encrypted(each.spec.options)), "")
        return bool(self._network)

    def room(self, host: Host) -> int:
        """All or nothing."""
        return UNLIMITED if host.node.description.networking.encryption else 0

    def explain(self, hosts: Sequence[Host]) -> Reason:
        """Name the network, a node, and where it says why."""
        detail = f"network {self._network} is encrypted, which {hosts[0].name} cannot do"
        remedy = f"load wireguard or install wireguard-go there (covey node inspect {hosts[0].name} says what is wrong)"
        return Reason(detail, remedy)


class Addressed:
    """The node has IPv6, where a network of the task's has nothing else."""

    name = "IPv6"

    def __init__(self) -> None:
        self._network = ""

    def set(self, group: Group) -> bool:
        """Only tasks on networks without IPv4 are concerned."""
        self._network = next((each.spec.name for each in group.networks if not each.spec.ipv4), "")
        return bool(self._network)

    def room(self, host: Host) -> int:
        """All or nothing."""
        return 0 if host.node.description.networking.without_ipv6 else UNLIMITED

    def explain(self, hosts: Sequence[Host]) -> Reason:
        """Name the network and a node."""
        detail = f"network {self._network} has IPv6 alone, which {hosts[0].name} has not"
        return Reason(
            detail, "enable IPv6 there (ipv6.disable=1 turns it off), or make the network with IPv4"
        )


class Connected:
    """The node has the interfaces by which the task's macvlan networks go."""

    name = "interface"

    def __init__(self) -> None:
        self._needed: dict[str, str] = {}

    def set(self, group: Group) -> bool:
        """Only tasks on such networks are concerned."""
        specs = [each.spec for each in group.networks if each.spec.driver == MACVLAN]
        self._needed = {parent(spec.options): spec.name for spec in specs}
        return bool(self._needed)

    def room(self, host: Host) -> int:
        """All or nothing; of a node that has not told them yet, its agent decides."""
        has = host.node.description.networking.interfaces
        return UNLIMITED if not has or all(name in has for name in self._needed) else 0

    def explain(self, hosts: Sequence[Host]) -> Reason:
        """Name an interface that is missing, and the network."""
        has = hosts[0].node.description.networking.interfaces
        name = next((each for each in self._needed if each not in has), next(iter(self._needed)))
        detail = f"network {self._needed[name]} goes by interface {name}, which {hosts[0].name} has not"
        return Reason(detail, f"make {name} there, out of any bridge, or name another parent in the network")


class NotTooMany:
    """No node gets more tasks of a service than its placement allows."""

    name = "max replicas per node"

    def __init__(self) -> None:
        self._most = 0
        self._service_id = ""

    def set(self, group: Group) -> bool:
        """Only services with such a bound are concerned."""
        self._most, self._service_id = group.placement.max_replicas_per_node, group.service.id
        return bool(self._most)

    def room(self, host: Host) -> int:
        """What is left of the bound."""
        return max(self._most - host.count(self._service_id), 0)

    def explain(self, hosts: Sequence[Host]) -> Reason:
        """Name the bound."""
        return Reason(f"at most {self._most} per node", "add a node, or raise --replicas-max-per-node")


FILTERS: tuple[type[Filter], ...] = (
    Constrained,
    Runnable,
    Encrypting,
    Addressed,
    Connected,
    Usable,
    Reserved,
    Equipped,
    PortsFree,
    NotTooMany,
)
"""In the order in which they are asked: a node counts under the first that rules it out.

What a node is comes before how it stands: nobody is told to free or to bring back one that would be no place then.
"""


def _label_of(constraint: Constraint) -> str:
    """Say which label would satisfy a constraint; nothing if it asks for something else."""
    for prefix, how in (
        ("node.labels.", "label a node"),
        ("engine.labels.", "give a host the setting label"),
    ):
        if constraint.key.startswith(prefix):
            return f"{how} {constraint.key.removeprefix(prefix)}={constraint.value}"
    return ""


def _platform(platform: Platform) -> str:
    return "/".join(part for part in (platform.os, platform.architecture) if part) or "an unknown platform"
