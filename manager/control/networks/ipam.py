"""Are the subnets sound that people ask for a network? Pure; raises `InvalidArgument` as `validate` does."""

import itertools
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from covey import limits
from covey.model.addressing import NUMBERS, is_ipv6
from covey.model.specs import IpamConfig, NetworkSpec
from manager.control.refusal import is_word, refuse

Net = IPv4Network | IPv6Network

_KEPT = tuple(map(ip_network, ("0.0.0.0/8", "::/8")))
"""Besides loopback, multicast and link-local ones: where no address is that a task could have."""


def check_ipam(spec: NetworkSpec) -> None:
    """Check the families, subnets, gateways, ranges and kept addresses of a network spec."""
    _check_families(spec)
    if len(spec.ipam) > limits.subnets_per_network_max:
        raise refuse("subnet", len(spec.ipam), f"are more than the {limits.subnets_per_network_max} allowed")
    of_ipv6 = [config for config in spec.ipam if is_ipv6(config.subnet)]
    if spec.ingress and len(spec.ipam) - len(of_ipv6) > 1:
        number = len(spec.ipam) - len(of_ipv6)
        raise refuse("subnet", number, "are too many for the ingress network; give it one, or none")
    if len(of_ipv6) > 1 or (not spec.ipv4 and len(spec.ipam) > 1):
        remedy = "are too many of IPv6, by which endpoints have one address each; give one, or none"
        raise refuse("subnet", len(spec.ipam) if not spec.ipv4 else len(of_ipv6), remedy)
    _check_apart([_check_config(config, spec) for config in spec.ipam if config.subnet])
    for config in spec.ipam:
        if not config.subnet and (config.gateway or config.ip_range or config.reserved):
            given = config.gateway or config.ip_range or ", ".join(sorted(config.reserved))
            raise refuse(
                "subnet", "", f"is needed where a gateway, an ip-range or an aux-address is given ({given})"
            )


def _check_families(spec: NetworkSpec) -> None:
    if not spec.ipv4 and spec.ingress:
        remedy = (
            "cannot be without on the ingress network; leave it on, and give ipv6 as well if you want both"
        )
        raise refuse("ipv4", spec.name, remedy)
    if not spec.ipv4 and not spec.ipv6:
        raise refuse("ipv4", spec.name, "cannot be without unless there is IPv6; give ipv6 as well")
    for config in spec.ipam:
        if is_ipv6(config.subnet) and not spec.ipv6:
            raise refuse("subnet", config.subnet, "is of IPv6, which the network has not; give ipv6 as well")
        if config.subnet and not is_ipv6(config.subnet) and not spec.ipv4:
            raise refuse(
                "subnet", config.subnet, "is of IPv4, which the network is not to have; leave it out"
            )


def _check_config(config: IpamConfig, spec: NetworkSpec) -> Net:
    network = _check_subnet(config.subnet)
    if config.gateway:
        _check_inside("gateway", config.gateway, network)
    window = _check_range(config.ip_range, network) if config.ip_range else network
    if config.ip_range and is_ipv6(config.subnet):
        _check_ipv6_range(config.ip_range, network, beside_ipv4=spec.ipv4)
    for name, address in config.reserved.items():
        if not is_word(name):
            raise refuse("aux-address", name, "is not a name; write NAME=ADDRESS, such as router=10.1.0.9")
        _check_inside("aux-address", address, network)
    given = [config.gateway or str(network.network_address + 1), *config.reserved.values()]
    kept = [ip_address(address) for address in given]
    for one, other in itertools.combinations(kept, 2):
        if one == other:
            raise refuse("aux-address", str(other), "is kept twice, or the gateway's; give each address once")
    edges = {network.network_address, network.broadcast_address, *kept}
    if isinstance(network, IPv6Network):
        edges.add(network.network_address + 1)  # numbers count from 2
    if window.num_addresses <= sum(address in window for address in edges):
        where = config.ip_range or config.subnet
        raise refuse(
            "subnet", where, "has no address left for anybody; take a larger one, or keep less of it"
        )
    return network


def _check_subnet(subnet: str) -> Net:
    try:
        network = ip_network(subnet)
    except ValueError as error:
        raise refuse("subnet", subnet, f"is not a subnet ({error}); {_without_host_bits(subnet)}") from error
    least, most = limits.subnet_prefix_length_min, 30
    if isinstance(network, IPv6Network):
        least, most = limits.subnet_prefix_length_ipv6_min, limits.subnet_prefix_length_ipv6_max
    if network.prefixlen > most:
        why = ": addresses end with the 32 bits of who has them" if network.version == 6 else ""
        raise refuse("subnet", subnet, f"is too small; a network needs /{most} or larger{why}")
    if network.prefixlen < least:
        raise refuse("subnet", subnet, f"is too large; use /{least} or smaller")
    if (
        network.is_loopback
        or network.is_multicast
        or network.is_link_local
        or network.is_unspecified
        or any(network.overlaps(kept) for kept in _KEPT)
    ):
        usual = "10.0.0.0/8 or 172.16.0.0/12" if network.version == 4 else "fd00::/8"
        raise refuse("subnet", subnet, f"is kept for other purposes; use one of {usual}")
    return network


def _without_host_bits(subnet: str) -> str:
    """Say what was probably meant."""
    try:
        return f"did you mean {ip_network(subnet, strict=False)}?"
    except ValueError:
        return "write it like 10.1.0.0/24, or fd00:1::/64"


def _check_inside(field: str, text: str, network: Net) -> None:
    try:
        address = ip_address(text)
    except ValueError as error:
        raise refuse(field, text, f"is not an address in {network}") from error
    if address not in network:
        raise refuse(field, text, f"is not an address in {network}")
    if address in (network.network_address, network.broadcast_address):
        raise refuse(field, text, f"is the first or last address of {network}, which nobody can have")


def _check_range(ip_range: str, network: Net) -> Net:
    try:
        inner = ip_network(ip_range)
    except ValueError as error:
        raise refuse(
            "ip-range", ip_range, f"is not a subnet ({error}); {_without_host_bits(ip_range)}"
        ) from error
    if inner.prefixlen < network.prefixlen or inner.network_address not in network:
        raise refuse("ip-range", ip_range, f"is not inside {network}")
    return inner


def _check_ipv6_range(ip_range: str, network: Net, *, beside_ipv4: bool) -> None:
    if beside_ipv4:
        remedy = (
            "cannot be had beside IPv4, whose addresses those of IPv6 end with; give an IPv4 range instead"
        )
        raise refuse("ip-range", ip_range, remedy)
    beyond = int(ip_network(ip_range).network_address) - int(network.network_address)
    if beyond >= NUMBERS:
        base = IPv6Network((int(network.network_address), limits.subnet_prefix_length_ipv6_max))
        raise refuse("ip-range", ip_range, f"is not inside {base}, of which addresses are given")


def _check_apart(subnets: Sequence[Net]) -> None:
    for one, other in itertools.combinations(subnets, 2):
        if one.overlaps(other):
            raise refuse("subnet", str(other), f"overlaps {one}; give each once")
