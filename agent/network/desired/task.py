"""The namespace of one task: its interfaces, the way out, and the virtual addresses it can call."""

from hashlib import blake2b

from covey.model.states import EndpointMode
from covey.model.tables import ServiceRow

from .. import firewall, names
from ..firewall import (
    Balance,
    Base,
    Chain,
    Hook,
    KeyKind,
    OverTcp,
    Reject,
    RejectCode,
    Reset,
    Table,
    Target,
    VerdictMap,
)
from ..seam import Attachment, Sandbox
from ..state import NODE, Address, Kind, Link, Netns, Route
from . import overlay
from .facts import Facts, Host, address, ingress, mac, mtu, overlays, subnet

DESTINATION_NAT = -100  # the priority at which iptables and others translate destinations


def has_way_out(sandbox: Sandbox) -> bool:
    """Tell whether the task gets a gateway interface: not if all its networks are internal, or it is closed."""
    attached = overlays(sandbox)
    if sandbox.closed:
        return False
    return not attached or not all(each.network.spec.internal for each in attached)


def wish(facts: Facts, sandbox: Sandbox) -> Netns:
    """What the task's namespace should hold."""
    task = sandbox.task_id
    links = [Link("lo", Kind.LOOPBACK)]
    addresses = []
    for attachment, place in places(sandbox):
        network = facts.networks.get(attachment.network.id) or attachment.network
        port = names.ingress_port(task) if network.spec.ingress else names.overlay_port(task, network.id)
        outside = NODE if network.spec.ingress else names.sandbox(network.id)
        own = address(attachment)
        links.append(
            Link(
                place,
                Kind.VETH,
                mtu(network, facts.host),
                mac(attachment.endpoint.number),
                peer=(outside, port),
            )
        )
        addresses.append(Address(place, f"{own}/{subnet(network, own).prefixlen}"))
    routes = []
    if has_way_out(sandbox):
        place = f"eth{len(places(sandbox))}"
        own = facts.gateway.given[task]
        links.append(way_out(task, place, own, facts.host))
        addresses.append(Address(place, f"{own}/{facts.gateway.subnet.prefixlen}"))
        routes.append(Route("0.0.0.0/0", facts.gateway.address, place))
    table = virtual_addresses(facts, sandbox)
    return Netns(
        links={link.name: link for link in links},
        addresses=frozenset(addresses),
        routes=frozenset(routes),
        tables={table.name: table.view()},
        rules={table.name: table},
        sysctls=settings(facts.host),
    )


def places(sandbox: Sandbox) -> list[tuple[Attachment, str]]:
    """The attachments with their interfaces' names: overlays in order, then ingress."""
    last = ingress(sandbox)
    ordered = [*overlays(sandbox), *([last] if last else [])]
    return [(attachment, f"eth{place}") for place, attachment in enumerate(ordered)]


def way_out(task: str, place: str, own: str, host: Host) -> Link:
    """The task's interface to the gateway bridge. Its MAC follows its address, as everywhere."""
    return Link(place, Kind.VETH, host.mtu, gateway_mac(own), peer=(NODE, names.gateway_port(task)))


def gateway_mac(own: str) -> str:
    """The MAC address that goes with an address on the gateway bridge."""
    return mac(int.from_bytes(bytes(int(part) for part in own.split(".")), "big"))


def settings(host: Host) -> dict[str, str]:
    """Kernel settings of a task's namespace; the last two are Docker's, which images rely on."""
    return {
        **overlay.quiet(host),
        "net/ipv4/conf/all/rp_filter": "0",  # traffic may come in by one interface and leave by another
        "net/ipv4/conf/default/rp_filter": "0",
        "net/ipv4/ip_unprivileged_port_start": "0",
        "net/ipv4/ping_group_range": "0 2147483647",
    }


def virtual_addresses(facts: Facts, sandbox: Sandbox) -> Table:
    """The table that sends connections to virtual addresses on to active endpoints."""
    chains = {}
    for attachment in overlays(sandbox):
        table = facts.table(attachment.network.id)
        active = facts.digest(attachment.network.id).active
        for service in table.services:
            if service.mode is EndpointMode.VIP:
                for virtual_ip in service.virtual_ips:
                    chains[virtual_ip] = _service(service, virtual_ip, active, sandbox.task_id)
    # The first rule does nothing but be there: the kernel tracks connections only while some rule asks for
    # it, and the last backend's removal must not cut the connections it still has.
    rules = ((firewall.Translated(),), (firewall.Dispatch("services"),))
    output = Chain("output", rules, Base("nat", Hook.OUTPUT, DESTINATION_NAT))
    elements = {virtual_ip: chain.name for virtual_ip, chain in chains.items()}
    return Table(
        names.VIP_TABLE,
        (output, *chains.values()),
        (VerdictMap("services", KeyKind.ADDRESS, elements),),
    )


def _service(service: ServiceRow, virtual_ip: str, active: dict[str, list[str]], seed: str) -> Chain:
    targets = tuple(Target(each) for each in active.get(service.service_id, ()))
    return balanced(f"vip-{virtual_ip}", targets, RejectCode.HOST_UNREACHABLE, seed)


def balanced(name: str, targets: tuple[Target, ...], none: RejectCode, seed: str) -> Chain:
    """A chain that shares connections among `targets`, or refuses them at once if there are none."""
    if not targets:
        return Chain(name, ((OverTcp(), Reset()), (Reject(none),)))
    start = int.from_bytes(blake2b(seed.encode(), digest_size=4).digest(), "big") % len(targets)
    return Chain(name, ((Balance(targets, start),),))
