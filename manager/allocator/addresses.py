"""Who holds which address on which network: a cache of what endpoints and services in the store say."""

from ipaddress import IPv4Address

from covey.model.objects import Endpoint, Network, Service, Subnet

from .pool import Pool

Held = tuple[str, int]
"""(network id, IPv4 address as a number)"""


class Addresses:
    """The pools of all networks. `Held` by holder makes every update idempotent."""

    def __init__(self) -> None:
        self._subnets: dict[str, tuple[Subnet, ...]] = {}
        self._pools: dict[str, list[Pool]] = {}
        self._held: dict[str, tuple[Held, ...]] = {}
        self._newest: dict[str, tuple[int, int]] = {}

    def observe_network(self, id: str, network: Network | None) -> None:
        """Take up a network's subnets; they never change once allocated."""
        subnets = network.subnets if network is not None else ()
        if self._subnets.get(id, ()) == subnets:
            return
        self._subnets.pop(id, None)
        self._pools.pop(id, None)
        self._newest.pop(id, None)
        if subnets:
            pools = [Pool(subnet) for subnet in subnets]
            self._subnets[id], self._pools[id] = subnets, pools
            for held in self._held.values():
                for network_id, number in held:
                    if network_id == id:
                        _hold(pools, number)

    def observe_endpoint(self, id: str, endpoint: Endpoint | None) -> None:
        """Take up an endpoint's address; the newest one says where the search goes on."""
        if endpoint is None:
            self._set(id, ())
            return
        self._set(id, ((endpoint.network_id, endpoint.number),))
        stamp = (endpoint.meta.created_at_ns, endpoint.meta.version)
        if stamp >= self._newest.get(endpoint.network_id, (0, 1)):
            self._newest[endpoint.network_id] = stamp
            for pool in self._pools.get(endpoint.network_id, ()):
                pool.continue_after(endpoint.number)

    def observe_service(self, id: str, service: Service | None) -> None:
        """Take up a service's virtual addresses."""
        ips = service.virtual_ips if service is not None else ()
        self._set(id, tuple((ip.network_id, int(IPv4Address(ip.address))) for ip in ips))

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

    def take(self, network_id: str) -> int | None:
        """Find the next free address of a network; None if all are held. The caller observes the holder."""
        for pool in self._pools[network_id]:
            number = pool.take()
            if number is not None:
                return number
        return None

    def holds(self, network_id: str, number: int) -> bool:
        """Tell whether somebody holds an address of a network, or nobody may."""
        return any(pool.holds(number) for pool in self._pools.get(network_id, ()))


def _hold(pools: list[Pool] | tuple[()], number: int) -> None:
    for pool in pools:
        pool.hold(number)
