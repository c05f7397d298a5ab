"""The numbers of one subnet, which make its addresses: which are held, and which comes next."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv6Network, ip_address, ip_network

from covey import limits
from covey.model.addressing import NUMBERS, is_ipv6
from covey.model.objects import Subnet


class Pool:
    """A byte per number: how many hold it (0 or 1, but for moments while a draft is taken back).

    The next number is the first free one after the last given, round and round; looking for it is one
    search for a zero byte. Those of network, broadcast, gateway and reserved addresses are never given, nor
    are 0 and 1 of an IPv6 subnet, nor what would make an address that is kept in one of the subnets `beside`.
    """

    def __init__(self, subnet: Subnet, beside: Iterable[Subnet] = ()) -> None:
        network = ip_network(subnet.cidr)
        window = ip_network(subnet.ip_range) if subnet.ip_range else network
        most = limits.addresses_per_subnet_max
        edges = {int(network.network_address) % NUMBERS}
        if isinstance(network, IPv6Network):
            edges.add(1)
            most = most if subnet.ip_range else limits.addresses_per_ipv6_subnet_max
        else:
            edges.add(int(network.broadcast_address))
        self._first = int(window.network_address) % NUMBERS
        self._held = bytearray(min(window.num_addresses, most, NUMBERS - self._first))
        self._next = 0
        for number in edges.union(kept_numbers(subnet), *map(kept_numbers, beside)):
            self.hold(number)

    def _place(self, number: int) -> int | None:
        place = number - self._first
        return place if 0 <= place < len(self._held) else None

    def holds(self, number: int) -> bool:
        """Tell whether somebody holds an address of this pool."""
        place = self._place(number)
        return place is not None and bool(self._held[place])

    def hold(self, number: int) -> None:
        """Count a holder; an address that is not of this pool is none of its business."""
        place = self._place(number)
        if place is not None:
            self._held[place] += 1

    def release(self, number: int) -> None:
        """Count a holder less."""
        place = self._place(number)
        if place is not None:
            assert self._held[place], f"number {number} was held"
            self._held[place] -= 1

    def same_as(self, other: "Pool") -> bool:
        """Tell whether the same addresses are held as in another pool of the same subnet."""
        return self._held == other._held

    def continue_after(self, number: int) -> None:
        """Have the search go on after this address, which was given last."""
        place = self._place(number)
        if place is not None:
            self._next = place + 1

    def take(self) -> int | None:
        """Find the next free address and move on; None if there is none. The caller says who holds it."""
        place = self._held.find(0, self._next)
        if place < 0:
            place = self._held.find(0, 0, self._next)
        if place < 0:
            return None
        self._next = place + 1
        return self._first + place


def numbering(subnets: Sequence[Subnet]) -> list[Subnet]:
    """Give the subnets of a network that numbers come from: those of IPv4 where it has any, else that of IPv6."""
    return [subnet for subnet in subnets if not is_ipv6(subnet.cidr)] or list(subnets)


def pools_of(subnets: Sequence[Subnet]) -> list[Pool]:
    """Make the pools of a network."""
    first = numbering(subnets)
    return [Pool(subnet, [each for each in subnets if each not in first]) for subnet in first]


def kept_numbers(subnet: Subnet) -> set[int]:
    """Give the numbers that would make an address which a subnet keeps for other purposes."""
    base = int(ip_network(subnet.cidr).network_address)
    base -= base % NUMBERS
    kept = (
        int(ip_address(address)) - base for address in (subnet.gateway, *subnet.reserved.values()) if address
    )
    return {number for number in kept if number < NUMBERS}  # those beyond are nobody's anyway
