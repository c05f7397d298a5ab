"""The inputs: what the host is like, what the managers said, which tasks are here."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from operator import is_not

from covey import limits
from covey.errors import FailedPrecondition, Refused
from covey.model import network_options
from covey.model.objects import Network
from covey.model.tables import NetworkTable

from .. import names
from ..firewall import Family, family_of
from ..seam import Attachment, Sandbox
from .addressing import addresses, check_families, families, subnet
from .digest import Digest, digest
from .gateway import Gateway
from .host import Host
from .memory import Memory

__all__ = ["Digest", "Facts", "Host"]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the wishes are computed from. `memory` is handed on from one to the next."""

    host: Host
    gateway: Gateway
    networks: Mapping[str, Network] = field(default_factory=dict[str, Network])
    tables: Mapping[str, NetworkTable] = field(default_factory=dict[str, NetworkTable])
    sandboxes: Mapping[str, Sandbox] = field(default_factory=dict[str, Sandbox])
    memory: Memory = field(default_factory=Memory, compare=False, repr=False)

    def with_interfaces(self, interfaces: frozenset[str]) -> "Facts":
        """The same facts of a host that has these interfaces now."""
        return replace(self, host=replace(self.host, interfaces=interfaces))

    def attachments(self, network_id: str) -> Iterator[tuple[str, Attachment]]:
        """The tasks here that are on a network, with their places."""
        for task_id, sandbox in self.sandboxes.items():
            for attachment in sandbox.attachments:
                if attachment.network.id == network_id:
                    yield task_id, attachment

    def newest(self, network: Network) -> Network:
        """A network as it was learnt last, if it was."""
        return self.networks.get(network.id) or network

    def families(self, sandbox: Sandbox) -> tuple[Family, ...]:
        """The families that a task speaks on this host."""
        return families(sandbox, ipv6=self.host.ipv6 and self.host.mtu >= limits.ipv6_mtu_bytes_min)

    def table(self, network_id: str) -> NetworkTable:
        """The network's newest table, empty while none has come."""
        return self.tables.get(network_id) or NetworkTable(network_id=network_id)

    def digest(self, network_id: str, device: str = names.SANDBOX_VXLAN) -> Digest:
        """What follows from the network's table: the same object for the same table."""
        table = self.tables.get(network_id) or _NO_TABLE
        network = self.networks.get(network_id)
        local = vtep(network, self.host) if network is not None else self.host.vtep
        host = self.host
        if host.ipv6 and network is not None and not takes_ipv6(network, host):
            host = replace(host, ipv6=False)  # as far as this network goes
        known = self.memory.digests.get((network_id, device))
        if known is None or known.table is not table or (known.local, known.ipv6) != (local, host.ipv6):
            known = self.memory.digests[network_id, device] = digest(table, host, device, local, known)
        return known

    def known(self, network_id: str) -> Digest:
        """What follows from the table, as it is asked for on this network's own device."""
        network = self.networks.get(network_id)
        ingress = network is not None and network.spec.ingress
        return self.digest(network_id, names.INGRESS_VXLAN if ingress else names.SANDBOX_VXLAN)

    def others(self) -> frozenset[str]:
        """The VTEP addresses of all other nodes that the tables name: the same object while none comes or goes."""
        found = [self.known(each).vteps for each in self.tables]
        before, known = self.memory.vteps
        if len(before) != len(found) or any(map(is_not, before, found)):
            every = frozenset[str]().union(*found)
            self.memory.vteps = found, known if known == every else every
        return self.memory.vteps[1]


_NO_TABLE = NetworkTable()


def named(sandbox: Sandbox) -> list[Attachment]:
    """The sandbox's attachments in the order of their interfaces, but for ingress."""
    return [each for each in sandbox.attachments if not each.network.spec.ingress]


def overlays(sandbox: Sandbox) -> list[Attachment]:
    """Those of them that are overlays."""
    return [each for each in named(sandbox) if not of_lan(each.network)]


def of_lan(network: Network) -> bool:
    """Tell whether a network is no overlay but a LAN that nodes are on."""
    return network.spec.driver == network_options.MACVLAN


def ingress(sandbox: Sandbox) -> Attachment | None:
    """The sandbox's place on the ingress network, if its service publishes ports there."""
    return next((each for each in sandbox.attachments if each.network.spec.ingress), None)


def own_addresses(attachment: Attachment, host: Host) -> Iterator[tuple[Family, str]]:
    """The attachment's addresses that this host can do something with."""
    for each in addresses(attachment):
        family = family_of(each)
        if family is Family.IPV4 or takes_ipv6(attachment.network, host):
            yield family, each


def has_ipv6(network: Network, host: Host) -> bool:
    """Tell whether the network has IPv6 addresses, and this host can do something with them."""
    return takes_ipv6(network, host) and _of_ipv6(network)


def takes_ipv6(network: Network, host: Host) -> bool:
    """Tell whether IPv6 can be on a network here: the host has it, and packets may be large enough (RFC 8200, 5).

    The kernel has none on links that are smaller, and refuses all that would be put there.
    """
    size = network_options.mtu(network.spec.options) if of_lan(network) else mtu(network, host)
    return host.ipv6 and (not size or size >= limits.ipv6_mtu_bytes_min)


def lacking_ipv6(facts: Facts) -> tuple[str, ...]:
    """What to say of an ingress network whose IPv6 addresses nobody has here, for packets are too small."""
    return tuple(
        f"warning (network {each.spec.name}): it has IPv6, which takes an MTU of {limits.ipv6_mtu_bytes_min} or "
        f"more, and would have one of {mtu(each, facts.host)} here: published ports answer by IPv4 alone; raise the "
        f"{facts.host.mtu} of the link with {facts.host.vtep}"
        for each in facts.networks.values()
        if each.spec.ingress and facts.host.ipv6 and _of_ipv6(each) and not takes_ipv6(each, facts.host)
    )


def _of_ipv6(network: Network) -> bool:
    return any(family_of(each.cidr) is Family.IPV6 for each in network.subnets)


def check(sandbox: Sandbox) -> None:
    """Raise `FailedPrecondition` if a sandbox cannot be built from what its managers said."""
    for attachment in sandbox.attachments:
        network = attachment.network
        if not network.vni and not of_lan(network):
            raise FailedPrecondition(
                f"network {network.spec.name or network.id} has no VNI yet; the manager must allocate it "
                "before a task is assigned"
            )
        for each in addresses(attachment):
            subnet(network, each)


def sound(sandboxes: Iterable[Sandbox]) -> tuple[dict[str, Sandbox], dict[str, str]]:
    """Those that can be built, by their tasks, and what is wrong with each other one: it must not stop them all."""
    good, wrong = dict[str, Sandbox](), dict[str, str]()
    for each in sandboxes:
        try:
            check(each)
        except Refused as error:
            wrong[each.task_id] = str(error)
        else:
            good[each.task_id] = each
    return good, wrong


def encrypted(network: Network) -> bool:
    """Tell whether the network's packets may travel in tunnels only."""
    return not of_lan(network) and network_options.encrypted(network.spec.options)


def vtep(network: Network, host: Host) -> str:
    """Where the network's packets come from here; "" if they cannot be encrypted as they must."""
    return host.tunnel if encrypted(network) else host.vtep


def overhead(network: Network) -> int:
    """What is around each packet between nodes."""
    if encrypted(network):
        return limits.vxlan_overhead_ipv6_bytes + limits.wireguard_overhead_bytes
    return limits.vxlan_overhead_bytes


def mtu(network: Network, host: Host) -> int:
    """The MTU on the network: its option `mtu`, or what VXLAN (and the tunnel) leaves of the host's."""
    return network_options.mtu(network.spec.options) or host.mtu - overhead(network)


def check_here(sandbox: Sandbox, facts: Facts) -> None:
    """Raise `FailedPrecondition` if a sandbox cannot work on this host: its packets too large, its way out taken, or
    its only family of addresses not there.
    """
    check_mtu(sandbox, facts.host)
    check_encryption(sandbox, facts.host)
    check_families(sandbox, ipv6=facts.host.ipv6)
    for attachment in sandbox.attachments:
        for each in attachment.network.subnets:
            out = facts.gateway.subnet_in(family_of(each.cidr))
            if overlaps(each.cidr, str(out)):
                raise FailedPrecondition(
                    f"network {attachment.network.spec.name or attachment.network.id}: its subnet {each.cidr} overlaps "
                    f"{out}, which this node has for its tasks' way out; make the network with another subnet"
                )


def overlaps(one: str, other: str) -> bool:
    """Tell whether two subnets have an address in common; never if they are not of the same family."""
    first, second = ip_network(one, strict=False), ip_network(other, strict=False)
    return first.version == second.version and first.overlaps(second)


def check_encryption(sandbox: Sandbox, host: Host) -> None:
    """Raise `FailedPrecondition` if a network is encrypted and this host cannot do that."""
    for attachment in sandbox.attachments:
        network = attachment.network
        if not vtep(network, host):
            raise FailedPrecondition(
                f"network {network.spec.name or network.id} is encrypted, which this node cannot do; "
                "`covey node inspect` says why"
            )


def check_mtu(sandbox: Sandbox, host: Host) -> None:
    """Raise `FailedPrecondition` if packets as large as a network promises could not leave this host."""
    for attachment in sandbox.attachments:
        network = attachment.network
        if of_lan(network):
            continue
        most, asked = host.mtu - overhead(network), mtu(network, host)
        if asked > most:
            raise FailedPrecondition(
                f"network {network.spec.name or network.id}: its mtu {asked} and the {overhead(network)} "
                f"bytes around each packet are more than the {host.mtu} of this host's link with {host.vtep}; "
                f"make the network with mtu={most} or less, or raise the link's"
            )
        if asked < limits.network_mtu_bytes_min:
            raise FailedPrecondition(
                f"network {network.spec.name or network.id} would have an MTU of {asked}, and the least is "
                f"{limits.network_mtu_bytes_min}: the {host.mtu} of this host's link with {host.vtep} are too few; raise "
                "them, or give another address (--data-path-addr)"
            )
        if asked < limits.ipv6_mtu_bytes_min and host.ipv6 and _of_ipv6(network):
            raise FailedPrecondition(
                f"network {network.spec.name or network.id} has IPv6, which takes an MTU of "
                f"{limits.ipv6_mtu_bytes_min} or more, and would have one of {asked}; make it with a larger one, or "
                f"raise the {host.mtu} of this host's link with {host.vtep}"
            )
