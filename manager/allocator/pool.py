"""The addresses of one subnet: which are held, and which comes next."""

from ipaddress import IPv4Address, IPv4Network

from covey import limits
from covey.model.objects import Subnet


class Pool:
    """A byte per address: how many hold it (0 or 1, but for moments while a draft is taken back).

    The next address is the first free one after the last given, round and round; looking for it is one
    search for a zero byte. Network, broadcast, gateway and reserved addresses are never given.
    """

    def __init__(self, subnet: Subnet) -> None:
        network = IPv4Network(subnet.cidr)
        window = IPv4Network(subnet.ip_range) if subnet.ip_range else network
        self._first = int(window.network_address)
        self._held = bytearray(min(window.num_addresses, limits.addresses_per_subnet_max))
        self._next = 0
        edges = {int(network.network_address), int(network.broadcast_address)}
        kept = {int(IPv4Address(address)) for address in (subnet.gateway, *subnet.reserved.values())}
        for number in edges | kept:
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
            assert self._held[place], f"{IPv4Address(number)} was held"
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
