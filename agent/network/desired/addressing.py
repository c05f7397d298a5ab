"""Which addresses of which family a task has on this node. Pure.

An address of IPv6 is its subnet's base and the endpoint's number, and so has the same MAC address as that of IPv4
beside it. A host without IPv6 does as if there were none.
"""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from covey.errors import FailedPrecondition
from covey.model.objects import Endpoint, Network
from covey.model.tables import EndpointRow

from ..firewall import FAMILIES, Family, family_of
from ..seam import Attachment, Sandbox

IpNetwork = IPv4Network | IPv6Network


def mac(number: int) -> str:
    """The MAC address of the endpoint with this number: 02:42 and the number."""
    one, two, three, four = number.to_bytes(4, "big")
    return f"02:42:{one:02x}:{two:02x}:{three:02x}:{four:02x}"


def address_in(family: Family, endpoint: Endpoint | EndpointRow) -> str:
    """The endpoint's address in `family`, or "" if it has none."""
    return next((each for each in endpoint.addresses if family_of(each) is family), "")


def addresses(attachment: Attachment) -> tuple[str, ...]:
    """The addresses of an attachment; raises `FailedPrecondition` if none was allocated."""
    if not attachment.endpoint.addresses:
        raise FailedPrecondition(
            f"endpoint {attachment.endpoint.id} on network {attachment.network.id} has no address; "
            "the manager must allocate one before the task is assigned"
        )
    return attachment.endpoint.addresses


def subnet(network: Network, within: str) -> IpNetwork:
    """The network's subnet that the address `within` lies in; raises `FailedPrecondition` if none does."""
    own = ip_address(within)
    for each in network.subnets:
        if own in (found := ip_network(each.cidr)):
            return found
    known = ", ".join(each.cidr for each in network.subnets) or "none"
    raise FailedPrecondition(f"address {within} is in no subnet of network {network.id} (subnets: {known})")


def subnet_of(network: Network, family: Family) -> IpNetwork | None:
    """The network's first subnet of a family, if it has one."""
    return next((ip_network(each.cidr) for each in network.subnets if family_of(each.cidr) is family), None)


def families(sandbox: Sandbox, *, ipv6: bool) -> tuple[Family, ...]:
    """The families that a task speaks: those it has addresses of, IPv4 if it is on no network."""
    has = {family_of(each) for one in sandbox.attachments for each in one.endpoint.addresses}
    if not ipv6:
        has.discard(Family.IPV6)
    return tuple(each for each in FAMILIES if each in has) or (Family.IPV4,)


def check_families(sandbox: Sandbox, *, ipv6: bool) -> None:
    """Raise `FailedPrecondition` if the task would have no address on a network, as this host has no IPv6."""
    for attachment in sandbox.attachments:
        network = attachment.network
        if not ipv6 and not address_in(Family.IPV4, attachment.endpoint):
            raise FailedPrecondition(
                f"network {network.spec.name or network.id} has IPv6 alone, and this host has none (booted with "
                "ipv6.disable=1, or without the module ipv6); enable it, or constrain the service to other nodes"
            )
