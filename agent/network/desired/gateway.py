"""Addresses on the gateway bridge: a subnet of each family that overlaps nothing, and one address per task.

They are agent-local. What is given to a task is an address of IPv4; that of IPv6 is made of it, as on overlays:
the subnet's base and the same 32 bits. Nothing is written down: after a restart the subnets are read back from
the bridge and each address from its task's namespace (`recover`).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_interface
from itertools import chain

from covey import limits
from covey.errors import ResourceExhausted

from .. import names
from ..firewall import Family, family_of
from ..state import NODE, Node

_NUMBER_BITS = 32
_IPV6 = tuple(IPv6Network(f"fdc0:7e79:{place:x}::/64") for place in range(16))


@dataclass(frozen=True, slots=True)
class Gateway:
    """The subnets, and the addresses given (task id to address). The bridge has the first address."""

    subnet: IPv4Network
    given: Mapping[str, str] = field(default_factory=dict[str, str])
    ipv6: IPv6Network = _IPV6[0]

    @property
    def address(self) -> str:
        """The bridge's own address: every task's way out."""
        return str(self.subnet[1])

    def subnet_in(self, family: Family) -> IPv4Network | IPv6Network:
        """The subnet of a family."""
        return self.subnet if family is Family.IPV4 else self.ipv6

    def address_in(self, family: Family) -> str:
        """The bridge's own address of a family."""
        return self._in(family, self.address)

    def given_in(self, family: Family, task: str) -> str:
        """The task's address of a family."""
        return self._in(family, self.given[task])

    def _in(self, family: Family, address: str) -> str:
        number = int(IPv4Address(address))
        return address if family is Family.IPV4 else str(self.ipv6[number])

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


def _choose_ipv6(taken: Collection[str]) -> IPv6Network:
    """The first of ours that overlaps nothing; the last one all the same, since each is one of 2^56 there could be."""
    others = [IPv6Network(each, strict=False) for each in taken if family_of(each) is Family.IPV6]
    others = [each for each in others if each.prefixlen >= limits.gateway_route_prefix_length_min]
    return next((one for one in _IPV6 if not any(one.overlaps(other) for other in others)), _IPV6[-1])


def choose(taken: Collection[str]) -> Gateway:
    """The first candidates that overlap none of `taken` (the host's routes, the cluster's subnets)."""
    others = [IPv4Network(each, strict=False) for each in taken if ":" not in each]
    others = [each for each in others if each.prefixlen >= limits.gateway_route_prefix_length_min]
    for each in candidates():
        if not any(each.overlaps(other) for other in others):
            return Gateway(each, ipv6=_choose_ipv6(taken))
    raise ResourceExhausted(
        "every private subnet that could carry tasks' way out (172.17.0.0/16 to 172.31.0.0/16, "
        "192.168.0.0/16) overlaps a route of this host; free one of them"
    )


def recover(have: Node, taken: Collection[str] = ()) -> Gateway | None:
    """The gateway that stands, with the addresses tasks really have; None if there is none."""
    standing = have[NODE].addresses if NODE in have else ()
    cidrs = [each.cidr for each in standing if each.link == names.GATEWAY_BRIDGE]
    subnet = next((IPv4Interface(each).network for each in cidrs if family_of(each) is Family.IPV4), None)
    if subnet is None:
        return None
    ipv6 = next((IPv6Interface(each).network for each in cidrs if family_of(each) is Family.IPV6), None)
    given = {
        netns: str(IPv4Address(int(interface.ip) % (1 << _NUMBER_BITS)))
        for netns, holds in have.items()
        if netns != NODE
        for each in holds.addresses
        if each.link != "lo" and (interface := ip_interface(each.cidr)).network in (subnet, ipv6)
    }
    return Gateway(subnet, given, ipv6 or _choose_ipv6(taken))
