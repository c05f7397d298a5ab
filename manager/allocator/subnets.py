"""What a network needs to exist: a VNI, and subnets that overlap no other network's."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError

from msgspec.structs import replace

from covey import limits
from covey.errors import InvalidArgument, Refused, ResourceExhausted
from covey.model import network_options
from covey.model.objects import Network, Node, Subnet
from covey.model.specs import ClusterSpec, IpamConfig


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


def hosts_of(nodes: Iterable[Node]) -> list[IPv4Network]:
    """List the addresses that nodes have themselves: tasks could not reach what a chosen subnet covers."""
    found = []
    for node in nodes:
        with suppress(AddressValueError):
            found.append(IPv4Network(IPv4Address(node.description.data_address or node.status.address)))
    return found


def subnets_for(
    network: Network, others: Sequence[Network], spec: ClusterSpec, hosts: Sequence[IPv4Network] = ()
) -> tuple[Subnet, ...]:
    """Choose the subnets of `network`; raises `Refused` with the reason if it cannot have them.

    One that is chosen here holds none of the `hosts`; one that people give may, as far as this is concerned.
    """
    wanted = network.spec.ipam or (IpamConfig(subnet=_preset(network, others, spec)),)
    taken = [(IPv4Network(s.cidr), other.spec.name) for other in others for s in other.subnets]
    last = max(others, key=lambda other: other.vni, default=None)
    after = IPv4Network(last.subnets[0].cidr) if last is not None and last.subnets else None
    chosen: list[Subnet] = []
    for config in wanted:
        if config.subnet:
            cidr = _given(config, taken)
        else:
            cidr = _free(spec, _length(network, spec), [*(net for net, _ in taken), *hosts], after)
        taken.append((cidr, network.spec.name))
        gateway = config.gateway or str(cidr.network_address + 1)
        chosen.append(Subnet(str(cidr), gateway, config.ip_range, config.reserved))
    return tuple(chosen)


def _preset(network: Network, others: Sequence[Network], spec: ClusterSpec) -> str:
    """The ingress network has a subnet of its own, large enough for every task and node, if it is free.

    Where people have chosen the pools it lives in them: that subnet may be what they keep clear of.
    """
    if not network.spec.ingress or spec.address_pools != (limits.address_pool_default,):
        return ""
    preset = IPv4Network(limits.ingress_subnet_default)
    free = not any(preset.overlaps(IPv4Network(s.cidr)) for other in others for s in other.subnets)
    return str(preset) if free else ""


def _given(config: IpamConfig, taken: Iterable[tuple[IPv4Network, str]]) -> IPv4Network:
    try:
        cidr = IPv4Network(config.subnet)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise InvalidArgument(
            f"{config.subnet!r} is not an IPv4 subnet such as 10.1.0.0/24: {error}"
        ) from error
    for net, name in taken:
        if cidr.overlaps(net):
            raise InvalidArgument(
                f"subnet {cidr} overlaps {net} of network {name}; choose another one, or none at all"
            )
    return cidr


def _length(network: Network, spec: ClusterSpec) -> int:
    """How long the prefix of a subnet is. Every task that publishes ports stands on the ingress network, so
    it gets a quarter of the first pool if that is more, but never more than its usual subnet."""
    if not network.spec.ingress:
        return spec.subnet_prefix_length
    usual = IPv4Network(limits.ingress_subnet_default).prefixlen
    quarter = IPv4Network(spec.address_pools[0]).prefixlen + 2
    return min(spec.subnet_prefix_length, max(usual, quarter))


def _free(
    spec: ClusterSpec, length: int, taken: Sequence[IPv4Network], after: IPv4Network | None
) -> IPv4Network:
    """Find the next subnet of the cluster's pools that overlaps none taken, starting behind `after`."""
    busy = sorted((int(net.network_address), int(net.broadcast_address)) for net in taken)
    pools = [IPv4Network(pool) for pool in spec.address_pools]
    spans = [(int(pool.network_address), int(pool.broadcast_address)) for pool in pools]
    if after is not None:
        here = next((n for n, pool in enumerate(pools) if after.subnet_of(pool)), None)
        if here is not None:
            first, last = spans[here]
            behind = int(after.broadcast_address) + 1
            spans = [(behind, last), *spans[here + 1 :], *spans[:here], (first, behind - 1)]
    size = 1 << (32 - length)
    for first, last in spans:
        start = _first_fit(first, last, size, busy)
        if start is not None:
            return IPv4Network((start, length))
    raise ResourceExhausted(
        f"no free /{length} is left in the address pools {', '.join(spec.address_pools)}; "
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
    network: Network, others: Sequence[Network], spec: ClusterSpec, hosts: Sequence[IPv4Network] = ()
) -> Network:
    """Give `network` what it lacks, or the reason why it cannot have it."""
    try:
        subnets = network.subnets or subnets_for(network, others, spec, hosts)
        vni = network.vni or vni_for(network, others)
    except Refused as refusal:
        return replace(network, allocation_error=str(refusal))
    return replace(network, vni=vni, subnets=subnets, allocation_error="")
