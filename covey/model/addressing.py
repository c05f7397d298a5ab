"""Addresses and numbers: an endpoint's number on its network makes its addresses, those of both families.

Where a network has IPv4, the number is the IPv4 address. The IPv6 address is the base of the network's IPv6 subnet plus
the number; so such a subnet leaves 32 bits at least, and its base has none of them set.
"""

from collections.abc import Iterable
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from .objects import Cluster, Subnet

NUMBERS = 1 << 32
"""How many there are."""


def is_ipv6(text: str) -> bool:
    """Tell whether an address or a subnet is of IPv6."""
    return ":" in text


def number_of(address: str) -> int:
    """Give the number of who has an address on an overlay network."""
    return int(ip_address(address)) % NUMBERS


def addresses_of(subnets: Iterable[Subnet], number: int) -> tuple[str, ...]:
    """Give the addresses that a number makes on a network: one of each family it has, that of IPv4 first."""
    ipv6 = next((each.cidr for each in subnets if is_ipv6(each.cidr)), "")
    found = [str(IPv4Address(number))] if any(not is_ipv6(each.cidr) for each in subnets) else []
    if ipv6:
        found.append(str(IPv6Address(int(IPv6Network(ipv6).network_address) + number)))
    return tuple(found)


def ipv6_pools(cluster: Cluster) -> tuple[str, ...]:
    """Where networks' own IPv6 subnets come from: the pools people chose, or unique local addresses (RFC 4193).

    Their 40 bits are not drawn but made of the cluster's id, so that every manager knows them, of old clusters too.
    """
    if cluster.spec.address_pools_ipv6:
        return cluster.spec.address_pools_ipv6
    bits = sha256(f"networks of cluster {cluster.id}".encode()).digest()[:5]
    return (str(IPv6Network((b"\xfd" + bits + bytes(10), 48))),)
