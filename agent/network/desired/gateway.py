"""Addresses on the gateway bridge: a subnet that overlaps nothing, and one address per task.

They are agent-local. Nothing is written down: after a restart the subnet is read back from the bridge and
each address from its task's namespace (`recover`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from itertools import chain

from covey import limits
from covey.errors import ResourceExhausted

from .. import names
from ..state import NODE, Node


@dataclass(frozen=True, slots=True)
class Gateway:
    """The subnet, and the addresses given (task id to address). The bridge has the first address."""

    subnet: IPv4Network
    given: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def address(self) -> str:
        """The bridge's own address: every task's way out."""
        return str(self.subnet[1])

    def with_tasks(self, tasks: Collection[str]) -> "Gateway":
        """The same gateway with an address for each of `tasks` and for no other; known ones keep theirs.

        An address given back is given again as late as can be: others may still remember who had it.
        """
        given = {task: address for task, address in self.given.items() if task in tasks}
        taken = {int(IPv4Address(address)) for address in given.values()}
        free = (number for number in self._numbers(max(taken, default=0)) if number not in taken)
        for task in sorted(set(tasks) - given.keys()):
            number = next(free, None)
            if number is None:
                raise ResourceExhausted(
                    f"no address left in {self.subnet} on {names.GATEWAY_BRIDGE} for task {task}: "
                    f"{len(given)} tasks have one; move tasks to another node"
                )
            given[task] = str(IPv4Address(number))
        return replace(self, given=given)

    def _numbers(self, last: int) -> Iterator[int]:
        """Every number that can be given: first those after `last`, then the rest."""
        network = int(self.subnet.network_address)
        first, end = network + 2, network + self.subnet.num_addresses - 1
        middle = max(first, min(last + 1, end))
        return chain(range(middle, end), range(first, middle))


def candidates() -> Iterator[IPv4Network]:
    """Subnets to choose from, in the order of preference: Docker's kind of range, from its far end."""
    for second in range(31, 16, -1):
        yield IPv4Network(f"172.{second}.0.0/16")
    for third in range(240, -1, -16):
        yield IPv4Network(f"192.168.{third}.0/20")


def choose(taken: Iterable[str]) -> Gateway:
    """The first candidate that overlaps none of `taken` (the host's routes, the cluster's subnets)."""
    others = [IPv4Network(each, strict=False) for each in taken if ":" not in each]
    others = [each for each in others if each.prefixlen >= limits.gateway_route_prefix_length_min]
    for each in candidates():
        if not any(each.overlaps(other) for other in others):
            return Gateway(each)
    raise ResourceExhausted(
        "every private subnet that could carry tasks' way out (172.17.0.0/16 to 172.31.0.0/16, "
        "192.168.0.0/16) overlaps a route of this host; free one of them"
    )


def recover(have: Node) -> Gateway | None:
    """The gateway that stands, with the addresses tasks really have; None if there is none."""
    bridge = next(
        (each.cidr for each in have[NODE].addresses if each.link == names.GATEWAY_BRIDGE)
        if NODE in have
        else iter(()),
        None,
    )
    if bridge is None:
        return None
    subnet = IPv4Interface(bridge).network
    given = {
        netns: str(interface.ip)
        for netns, holds in have.items()
        if netns != NODE
        for each in holds.addresses
        if each.link != "lo" and (interface := IPv4Interface(each.cidr)).network == subnet
    }
    return Gateway(subnet, given)
