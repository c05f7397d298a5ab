"""Who holds which address on which network: a cache of what endpoints and services in the store say."""

from collections.abc import Iterator

from covey.model.addressing import number_of
from covey.model.objects import Endpoint, Network, Node, Service, Subnet

from .pool import Pool, pools_of
from .subnets import hosts_of

Held = tuple[str, int]
"""(network id, number)"""


class Addresses:
    """The pools of all networks. `Held` by holder makes every update idempotent."""

    def __init__(self) -> None:
        self._subnets: dict[str, tuple[Subnet, ...]] = {}
        self._pools: dict[str, list[Pool]] = {}
        self._held: dict[str, tuple[Held, ...]] = {}
        self._newest: dict[str, tuple[int, int]] = {}
        self._nodes: dict[str, int] = {}  # the numbers that nodes' own IPv4 addresses would be

    def observe_network(self, id: str, network: Network | None) -> None:
        """Take up a network's subnets; they never change once allocated."""
        subnets = network.subnets if network is not None else ()
        if self._subnets.get(id, ()) == subnets:
            return
        self._subnets.pop(id, None)
        self._pools.pop(id, None)
        self._newest.pop(id, None)
        if subnets:
            pools = pools_of(subnets)
            self._subnets[id], self._pools[id] = subnets, pools
            for held in self._held.values():
                for network_id, number in held:
                    if network_id == id:
                        _hold(pools, number)

    def observe_endpoint(self, id: str, endpoint: Endpoint | None) -> None:
        """Take up an endpoint's address. The newest one of those that others gave says where the search goes on.

        Of those that one commit made it is the one with the highest number, for they are given in order. What was
        written last says nothing: it may be the oldest, and what comes after it the one that was freed just now.
        """
        if endpoint is None:
            self._set(id, ())
            return
        known = id in self._held
        self._set(id, ((endpoint.network_id, endpoint.number),))
        stamp = (endpoint.meta.created_at_ns, endpoint.number)
        if stamp > self._newest.get(endpoint.network_id, (1, 0)):
            self._newest[endpoint.network_id] = stamp
            for pool in self._pools.get(endpoint.network_id, ()) if not known else ():
                pool.continue_after(endpoint.number)

    def observe_service(self, id: str, service: Service | None) -> None:
        """Take up a service's virtual addresses."""
        ips = service.virtual_ips if service is not None else ()
        held = dict.fromkeys((ip.network_id, number_of(ip.address)) for ip in ips)  # one of both families
        self._set(id, tuple(held))

    def observe_node(self, id: str, node: Node | None) -> None:
        """Take up a node's own address: on a LAN that nodes are on too nobody else may have it."""
        self._nodes.pop(id, None)
        for host in hosts_of([node] if node is not None else []):
            if host.version == 4:
                self._nodes[id] = int(host.network_address)

    def _set(self, holder: str, held: tuple[Held, ...]) -> None:
        before = self._held.get(holder, ())
        if before == held:
            return
        for network_id, number in held:
            _hold(self._pools.get(network_id, ()), number)
        for network_id, number in before:
            for pool in self._pools.get(network_id, ()):
                pool.release(number)
        if held:
            self._held[holder] = held
        else:
            del self._held[holder]

    def known(self, network_id: str) -> bool:
        """Tell whether a network has subnets."""
        return network_id in self._pools

    def take(self, network_id: str, *, on_lan: bool = False) -> int | None:
        """Find the next free number of a network; None if all are held. The caller observes the holder.

        With `on_lan` those of nodes' own addresses are not given, as if somebody held them.
        """
        but = set(self._nodes.values()) if on_lan else ()
        for pool in self._pools[network_id]:
            for _ in range(len(but) + 1):
                number = pool.take()
                if number is not None and number not in but:
                    return number
        return None

    def holds(self, network_id: str, number: int) -> bool:
        """Tell whether somebody holds an address of a network, or nobody may."""
        return any(pool.holds(number) for pool in self._pools.get(network_id, ()))

    def differences(self, right: "Addresses") -> Iterator[str]:
        """Say where this cache differs from one that is `right`."""
        for holder in sorted(self._held.keys() | right._held.keys()):
            here, there = self._held.get(holder, ()), right._held.get(holder, ())
            if here != there:
                yield f"{holder} holds {_text(there)}, and is thought to hold {_text(here)}"
        for network_id in sorted(self._pools.keys() | right._pools.keys()):
            pools = zip(self._pools.get(network_id, ()), right._pools.get(network_id, ()), strict=False)
            if self._subnets.get(network_id) != right._subnets.get(network_id):
                yield f"the subnets of network {network_id} are not those that addresses are given of"
            elif not all(mine.same_as(other) for mine, other in pools):
                yield f"addresses of network {network_id} are held by nobody, or given though somebody holds them"


def _text(held: tuple[Held, ...]) -> str:
    return ", ".join(f"number {number} of network {network_id}" for network_id, number in held) or "none"


def _hold(pools: list[Pool] | tuple[()], number: int) -> None:
    for pool in pools:
        pool.hold(number)
