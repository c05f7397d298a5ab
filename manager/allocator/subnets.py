"""What a network needs to exist: a VNI (an overlay), and subnets of its families that overlap no other network's."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from msgspec.structs import replace

from covey import limits
from covey.errors import InvalidArgument, Refused, ResourceExhausted
from covey.model import network_options
from covey.model.addressing import ipv6_pools, is_ipv6
from covey.model.objects import Cluster, Network, Node, Subnet
from covey.model.specs import IpamConfig, NetworkSpec

Net = IPv4Network | IPv6Network


def next_vni(used: Collection[int]) -> int:
    """Give the VNI after the highest in use; the lowest free one once the range is through."""
    highest = max(used, default=limits.vni_first - 1)
    if highest < limits.vni_last:
        return highest + 1
    taken = set(used)
    for vni in range(limits.vni_first, limits.vni_last):
        if vni not in taken:
            return vni
    raise ResourceExhausted(
        f"all VNIs from {limits.vni_first} to {limits.vni_last} are in use; remove a network"
    )


def vni_for(network: Network, others: Sequence[Network]) -> int:
    """Give the VNI that was asked for, or the next one; raises `Refused` if another network has it."""
    wanted = network_options.vni(network.spec.options)
    if not wanted:
        return next_vni({other.vni for other in others if other.vni})
    taken = next((other.spec.name for other in others if other.vni == wanted), None)
    if taken is not None:
        raise InvalidArgument(
            f"opt vni: {wanted} is that of network {taken}; choose another one, or none at all"
        )
    return wanted


def hosts_of(nodes: Iterable[Node]) -> list[Net]:
    """List the addresses that nodes have themselves: tasks could not reach what a chosen subnet covers."""
    found = list[Net]()
    for node in nodes:
        with suppress(ValueError):
            found.append(ip_network(ip_address(node.description.data_address or node.status.address)))
    return found


def families(spec: NetworkSpec) -> list[int]:
    """List the versions of IP of which a network's endpoints have addresses."""
    return [version for version, wanted in ((4, spec.ipv4), (6, spec.ipv6)) if wanted]


def subnets_for(
    network: Network, others: Sequence[Network], cluster: Cluster, hosts: Sequence[Net] = ()
) -> tuple[Subnet, ...]:
    """Choose the subnets of `network`, IPv4 first; raises `Refused` with the reason if it cannot have them.

    One that is chosen here holds none of the `hosts`; one that people give may, as far as this is concerned.
    """
    taken: list[tuple[Net, str]] = [
        (ip_network(s.cidr), other.spec.name) for other in others for s in other.subnets
    ]
    chosen: list[Subnet] = []
    for version in families(network.spec):
        for config in _wanted(network, version, others, cluster):
            if config.subnet:
                cidr = _given(config, version, taken)
            else:
                cidr = _free(
                    _pools(cluster, version),
                    _length(network, cluster, version),
                    [net for net in (*(net for net, _ in taken), *hosts) if net.version == version],
                    _last(others, version),
                )
            taken.append((cidr, network.spec.name))
            gateway = config.gateway or str(cidr.network_address + 1)
            chosen.append(Subnet(str(cidr), gateway, config.ip_range, config.reserved))
    return tuple(chosen)


def _wanted(
    network: Network, version: int, others: Sequence[Network], cluster: Cluster
) -> Sequence[IpamConfig]:
    """The subnets of one family that are asked for: one at least, of Covey's choice unless people made one."""
    first = families(network.spec)[0]
    given = [
        config
        for config in network.spec.ipam
        if (6 if is_ipv6(config.subnet) else 4 if config.subnet else first) == version
    ]
    return given or (IpamConfig(subnet=_preset(network, others, cluster) if version == 4 else ""),)


def _last(others: Sequence[Network], version: int) -> Net | None:
    """The subnet that was given last: the next one comes from behind it."""
    for network in sorted(others, key=lambda other: -other.vni):
        for subnet in network.subnets:
            if (net := ip_network(subnet.cidr)).version == version:
                return net
    return None


def _preset(network: Network, others: Sequence[Network], cluster: Cluster) -> str:
    """The ingress network has a subnet of its own, large enough for every task and node, if it is free.

    Where people have chosen the pools it lives in them: that subnet may be what they keep clear of.
    """
    if not network.spec.ingress or cluster.spec.address_pools != (limits.address_pool_default,):
        return ""
    preset = IPv4Network(limits.ingress_subnet_default)
    free = not any(preset.overlaps(ip_network(s.cidr)) for other in others for s in other.subnets)
    return str(preset) if free else ""


def _given(config: IpamConfig, version: int, taken: Iterable[tuple[Net, str]]) -> Net:
    try:
        cidr: Net = IPv4Network(config.subnet) if version == 4 else IPv6Network(config.subnet)
    except ValueError as error:
        example = "10.1.0.0/24" if version == 4 else "fd00:1::/64"
        raise InvalidArgument(
            f"{config.subnet!r} is not an IPv{version} subnet such as {example}: {error}"
        ) from error
    for net, name in taken:
        if cidr.overlaps(net):
            raise InvalidArgument(
                f"subnet {cidr} overlaps {net} of network {name}; choose another one, or none at all"
            )
    return cidr


def _pools(cluster: Cluster, version: int) -> list[Net]:
    return [
        ip_network(pool) for pool in (cluster.spec.address_pools if version == 4 else ipv6_pools(cluster))
    ]


def _length(network: Network, cluster: Cluster, version: int) -> int:
    """How long the prefix of a subnet is. Every task that publishes ports stands on the ingress network, so
    it gets a quarter of the first pool if that is more, but never more than its usual subnet."""
    if version == 6:
        usual = limits.subnet_prefix_length_ipv6
        roomy = all(pool.prefixlen <= usual for pool in _pools(cluster, version))
        return usual if roomy else limits.subnet_prefix_length_ipv6_max
    length = cluster.spec.subnet_prefix_length
    if not network.spec.ingress:
        return length
    usual = IPv4Network(limits.ingress_subnet_default).prefixlen
    quarter = IPv4Network(cluster.spec.address_pools[0]).prefixlen + 2
    return min(length, max(usual, quarter))


def _free(pools: Sequence[Net], length: int, taken: Sequence[Net], after: Net | None) -> Net:
    """Find the next subnet of the pools that overlaps none taken, starting behind `after`. All are of one family."""
    busy = sorted((int(net.network_address), int(net.broadcast_address)) for net in taken)
    spans = [(int(pool.network_address), int(pool.broadcast_address)) for pool in pools]
    if after is not None:
        behind = int(after.broadcast_address) + 1
        here = next((n for n, (first, last) in enumerate(spans) if first < behind <= last + 1), None)
        if here is not None:
            first, last = spans[here]
            spans = [(behind, last), *spans[here + 1 :], *spans[:here], (first, behind - 1)]
    size = 1 << (pools[0].max_prefixlen - length)
    for first, last in spans:
        start = _first_fit(first, last, size, busy)
        if start is not None:
            return IPv4Network((start, length)) if pools[0].version == 4 else IPv6Network((start, length))
    raise ResourceExhausted(
        f"no free /{length} is left in the address pools {', '.join(map(str, pools))}; "
        "remove a network, or give this one a subnet of its own (--subnet)"
    )


def _first_fit(first: int, last: int, size: int, busy: Sequence[tuple[int, int]]) -> int | None:
    """Find the first aligned block within a span that overlaps none of the busy, sorted ones."""
    start = -(-first // size) * size
    for busy_first, busy_last in busy:
        if busy_last < start:
            continue
        if start + size - 1 < busy_first:
            break
        start = -(-(busy_last + 1) // size) * size
    return start if start + size - 1 <= last else None


def allocate(
    network: Network, others: Sequence[Network], cluster: Cluster, hosts: Sequence[Net] = ()
) -> Network:
    """Give `network` what it lacks, or the reason why it cannot have it."""
    try:
        subnets = network.subnets or subnets_for(network, others, cluster, hosts)
        overlay = network.spec.driver == network_options.OVERLAY
        vni = network.vni or (vni_for(network, others) if overlay else 0)
    except Refused as refusal:
        return replace(network, allocation_error=str(refusal))
    return replace(network, vni=vni, subnets=subnets, allocation_error="")
