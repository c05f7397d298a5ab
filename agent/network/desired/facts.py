"""The inputs: what the host is like, what the managers said, which tasks are here."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, ip_address
from operator import is_not

from covey import limits
from covey.errors import FailedPrecondition, Refused
from covey.model import network_options
from covey.model.objects import Endpoint, Network
from covey.model.states import EndpointState
from covey.model.tables import EndpointRow, NetworkTable

from .. import names
from ..seam import Attachment, Sandbox
from .gateway import Gateway


@dataclass(frozen=True, slots=True)
class Host:
    """What matters of the host: its VTEP address, the MTU below, and what its kernel was built with."""

    node_id: str
    vtep: str
    mtu: int
    vxlan_port: int = limits.vxlan_port
    ipv6: bool = True
    bridge_filter: bool = False
    keeps_client_address: bool = False


Entries = dict[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class Digest:
    """What follows from a table, worked out once: it is the same for every namespace.

    FDB and neighbour entries for the network's VXLAN device (every endpoint that another node holds), the
    addresses new connections may go to by service, in the table's order, those of them on this node, those on
    nodes that cannot keep a client's address, all addresses there are, and where other nodes' packets come from.
    """

    table: NetworkTable
    forwards: Entries
    neighbours: Entries
    active: dict[str, list[str]]
    here: dict[str, list[str]]
    unkept: list[str]
    alive: frozenset[str]
    vteps: frozenset[str]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the wishes are computed from. `cache` and `seen` are handed on from one to the next."""

    host: Host
    gateway: Gateway
    networks: Mapping[str, Network] = field(default_factory=dict[str, Network])
    tables: Mapping[str, NetworkTable] = field(default_factory=dict[str, NetworkTable])
    sandboxes: Mapping[str, Sandbox] = field(default_factory=dict[str, Sandbox])
    cache: dict[tuple[str, str], Digest] = field(
        default_factory=dict[tuple[str, str], Digest], compare=False, repr=False
    )
    seen: dict[str, tuple[list[frozenset[str]], frozenset[str]]] = field(
        default_factory=dict[str, tuple[list[frozenset[str]], frozenset[str]]], compare=False, repr=False
    )

    def attachments(self, network_id: str) -> Iterator[tuple[str, Attachment]]:
        """The tasks here that are on a network, with their places."""
        for task_id, sandbox in self.sandboxes.items():
            for attachment in sandbox.attachments:
                if attachment.network.id == network_id:
                    yield task_id, attachment

    def table(self, network_id: str) -> NetworkTable:
        """The network's newest table, empty while none has come."""
        return self.tables.get(network_id) or NetworkTable(network_id=network_id)

    def digest(self, network_id: str, device: str = names.SANDBOX_VXLAN) -> Digest:
        """What follows from the network's table: the same object for the same table."""
        table = self.tables.get(network_id) or _NO_TABLE
        known = self.cache.get((network_id, device))
        if known is None or known.table is not table:
            known = self.cache[network_id, device] = _digest(table, self.host, device)
        return known

    def others(self) -> frozenset[str]:
        """The VTEP addresses of all other nodes that the tables name: the same object while none comes or goes."""
        found = [
            self.digest(each, names.INGRESS_VXLAN if self._is_ingress(each) else names.SANDBOX_VXLAN).vteps
            for each in self.tables
        ]
        known = self.seen.get("others")
        if known is None or len(known[0]) != len(found) or any(map(is_not, known[0], found)):
            every = frozenset[str]().union(*found)
            same = known is not None and known[1] == every
            known = self.seen["others"] = (found, known[1] if known is not None and same else every)
        return known[1]

    def _is_ingress(self, network_id: str) -> bool:
        network = self.networks.get(network_id)
        return network is not None and network.spec.ingress


_NO_TABLE = NetworkTable()


def overlays(sandbox: Sandbox) -> list[Attachment]:
    """The sandbox's attachments in the order of their interfaces, but for ingress."""
    return [each for each in sandbox.attachments if not each.network.spec.ingress]


def ingress(sandbox: Sandbox) -> Attachment | None:
    """The sandbox's place on the ingress network, if its service publishes ports there."""
    return next((each for each in sandbox.attachments if each.network.spec.ingress), None)


def mac(number: int) -> str:
    """The MAC address of the endpoint with this number: 02:42 and the number."""
    return ":".join(f"{byte:02x}" for byte in (0x02, 0x42, *number.to_bytes(4, "big")))


def ipv4(endpoint: Endpoint | EndpointRow) -> str:
    """The endpoint's IPv4 address, or "" if it has none."""
    for each in endpoint.addresses:
        if ":" not in each:
            return each
    return ""


def address(attachment: Attachment) -> str:
    """The IPv4 address of an attachment; raises `FailedPrecondition` if none was allocated."""
    found = ipv4(attachment.endpoint)
    if not found:
        raise FailedPrecondition(
            f"endpoint {attachment.endpoint.id} on network {attachment.network.id} has no IPv4 address; "
            "the manager must allocate one before the task is assigned"
        )
    return found


def subnet(network: Network, within: str) -> IPv4Network:
    """The network's subnet that the address `within` lies in; raises `FailedPrecondition` if none does."""
    for each in network.subnets:
        if ":" not in each.cidr and ip_address(within) in (found := IPv4Network(each.cidr)):
            return found
    known = ", ".join(each.cidr for each in network.subnets) or "none"
    raise FailedPrecondition(f"address {within} is in no subnet of network {network.id} (subnets: {known})")


def check(sandbox: Sandbox) -> None:
    """Raise `FailedPrecondition` if a sandbox cannot be built from what its managers said."""
    for attachment in sandbox.attachments:
        network = attachment.network
        if not network.vni:
            raise FailedPrecondition(
                f"network {network.spec.name or network.id} has no VNI yet; the manager must allocate it "
                "before a task is assigned"
            )
        subnet(network, address(attachment))


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


def mtu(network: Network, host: Host) -> int:
    """The MTU on the network: its option `mtu`, or what VXLAN leaves of the host's."""
    return network_options.mtu(network.spec.options) or host.mtu - limits.vxlan_overhead_bytes


def check_here(sandbox: Sandbox, facts: Facts) -> None:
    """Raise `FailedPrecondition` if a sandbox cannot work on this host: its packets too large, or its way out taken."""
    check_mtu(sandbox, facts.host)
    out = facts.gateway.subnet
    for attachment in sandbox.attachments:
        for each in attachment.network.subnets:
            if ":" not in each.cidr and IPv4Network(each.cidr).overlaps(out):
                raise FailedPrecondition(
                    f"network {attachment.network.spec.name or attachment.network.id}: its subnet {each.cidr} overlaps "
                    f"{out}, which this node has for its tasks' way out; make the network with another subnet"
                )


def check_mtu(sandbox: Sandbox, host: Host) -> None:
    """Raise `FailedPrecondition` if packets as large as a network promises could not leave this host."""
    for attachment in sandbox.attachments:
        network = attachment.network
        most, asked = host.mtu - limits.vxlan_overhead_bytes, mtu(network, host)
        if asked > most:
            raise FailedPrecondition(
                f"network {network.spec.name or network.id}: its mtu {asked} and the {limits.vxlan_overhead_bytes} "
                f"bytes around each packet are more than the {host.mtu} of this host's link with {host.vtep}; "
                f"make the network with mtu={most} or less, or raise the link's"
            )


def _digest(table: NetworkTable, host: Host, device: str) -> Digest:
    alive = frozenset(ipv4(row) for row in table.endpoints)
    vteps = frozenset(row.vtep for row in table.endpoints) - {"", host.vtep}
    found = Digest(table, {}, {}, {}, {}, [], alive, vteps)
    for row in table.endpoints:
        address = ipv4(row)
        if row.state is EndpointState.ACTIVE and row.service_id and address:
            found.active.setdefault(row.service_id, []).append(address)
            if row.node_id == host.node_id:
                found.here.setdefault(row.service_id, []).append(address)
            if not row.keeps_client_address:
                found.unkept.append(address)
        if row.node_id == host.node_id or not row.vtep or row.vtep == host.vtep:
            continue
        found.forwards[device, mac(row.number)] = row.vtep
        if address:
            found.neighbours[device, address] = mac(row.number)
    return found
