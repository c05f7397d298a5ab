"""The namespace of one task: its interfaces, the way out, and the virtual addresses it can call."""

from functools import lru_cache
from hashlib import blake2b

from covey.model.states import Affinity
from covey.model.tables import NetworkTable, ServiceRow

from .. import firewall, names
from ..firewall import (
    FAMILIES,
    Balance,
    Base,
    Chain,
    Family,
    Hook,
    KeyKind,
    OverTcp,
    Reject,
    RejectCode,
    Reset,
    Rule,
    Statement,
    Table,
    Target,
    VerdictMap,
    family_of,
)
from ..seam import Attachment, Sandbox
from ..state import NODE, Address, Kind, Link, Netns, Route
from . import macvlan, overlay
from .addressing import mac, subnet
from .digest import Digest, virtual_of
from .facts import Facts, Host, ingress, mtu, named, of_lan, overlays, own_addresses
from .memory import Led
from .way_back import ANYWHERE, Return, way_back

DESTINATION_NAT = -100  # the priority at which iptables and others translate destinations


def has_way_out(sandbox: Sandbox) -> bool:
    """Tell whether the task gets a gateway interface: not if it is closed, leaves by a LAN, or all is internal."""
    attached = named(sandbox)
    if sandbox.closed or macvlan.way_out(sandbox) is not None:
        return False
    return not attached or not all(each.network.spec.internal for each in attached)


def wish(facts: Facts, sandbox: Sandbox) -> Netns:
    """What the task's namespace should hold."""
    task = sandbox.task_id
    links = [Link("lo", Kind.LOOPBACK)]
    addresses = []
    for attachment, place in places(sandbox):
        network = facts.newest(attachment.network)
        if of_lan(network) and macvlan.parent(attachment) not in facts.host.interfaces:
            continue  # it went while the task was running; all else goes on
        links.append(_link(facts, task, attachment, place))
        for _, own in own_addresses(attachment, facts.host):
            addresses.append(Address(place, f"{own}/{subnet(network, own).prefixlen}"))
    made, families = {link.name for link in links}, facts.families(sandbox)
    lan = macvlan.way_out(sandbox)
    routes = [
        each
        for attachment, place in places(sandbox)
        if attachment is lan and place in made
        for each in macvlan.routes(attachment, place, facts.host)
    ]
    if has_way_out(sandbox):
        place, gateway = f"eth{len(places(sandbox))}", facts.gateway
        links.append(way_out(task, place, gateway.given[task], facts.host))
        for family in families:
            own, length = gateway.given_in(family, task), gateway.subnet_in(family).prefixlen
            addresses.append(Address(place, f"{own}/{length}"))
            routes.append(Route(ANYWHERE[family], gateway.address_in(family), place))
    back = returning(facts, sandbox)
    # the table of IPv4 is there always: it may hold nothing
    spoken = [each for each in FAMILIES if each in families or each is Family.IPV4]
    tables = [*(virtual_addresses(facts, sandbox, each) for each in spoken), *back.tables]
    return Netns(
        links={link.name: link for link in links},
        addresses=frozenset(addresses),
        routes=frozenset([*routes, *back.routes]),
        policies=back.policies,
        neighbours=back.neighbours,
        tables={table.name: table.view() for table in tables},
        rules={table.name: table for table in tables},
        sysctls=settings(facts.host, ipv6=Family.IPV6 in families),
    )


def _link(facts: Facts, task: str, attachment: Attachment, place: str) -> Link:
    """The task's end of its interface to a network."""
    network = facts.newest(attachment.network)
    if of_lan(network):
        return macvlan.link(attachment, place)
    port = names.ingress_port(task) if network.spec.ingress else names.overlay_port(task, network.id)
    outside = NODE if network.spec.ingress else names.sandbox(network.id)
    own = mac(attachment.endpoint.number)
    return Link(place, Kind.VETH, mtu(network, facts.host), own, peer=(outside, port))


def returning(facts: Facts, sandbox: Sandbox) -> Return:
    """The way back to the ingress node for what came through the mesh, if the task is there and the kernel can."""
    last = ingress(sandbox)
    if last is None or not facts.host.keeps_client_address:
        return Return()
    network = facts.newest(last.network)
    link = places(sandbox)[-1][1]
    subnets = {family: subnet(network, own) for family, own in own_addresses(last, facts.host)}
    if (lan := macvlan.way_out(sandbox)) is not None:
        return way_back(link, subnets, dict(own_addresses(lan, facts.host)))
    out = facts.families(sandbox) if has_way_out(sandbox) else ()
    return way_back(link, subnets, {each: facts.gateway.given_in(each, sandbox.task_id) for each in out})


def places(sandbox: Sandbox) -> list[tuple[Attachment, str]]:
    """The attachments with their interfaces' names: overlays in order, then ingress."""
    last = ingress(sandbox)
    ordered = [*named(sandbox), *([last] if last else [])]
    return [(attachment, f"eth{place}") for place, attachment in enumerate(ordered)]


def way_out(task: str, place: str, own: str, host: Host) -> Link:
    """The task's interface to the gateway bridge. Its MAC follows its address, as everywhere."""
    return Link(place, Kind.VETH, host.mtu, gateway_mac(own), peer=(NODE, names.gateway_port(task)))


def gateway_mac(own: str) -> str:
    """The MAC address that goes with an address on the gateway bridge."""
    return mac(int.from_bytes(bytes(int(part) for part in own.split(".")), "big"))


def settings(host: Host, *, ipv6: bool) -> dict[str, str]:
    """Kernel settings of a task's namespace; the last two are Docker's, which images rely on."""
    return {
        **overlay.quiet(host, ipv6=ipv6),
        "net/ipv4/conf/all/rp_filter": "0",  # traffic may come in by one interface and leave by another
        "net/ipv4/conf/default/rp_filter": "0",
        "net/ipv4/ip_unprivileged_port_start": "0",
        "net/ipv4/ping_group_range": "0 2147483647",
    }


def virtual_addresses(facts: Facts, sandbox: Sandbox, family: Family) -> Table:
    """The table that sends connections to virtual addresses of one family on to active endpoints."""
    led = facts.memory.led[sandbox.task_id, family] = _led(facts, sandbox, family)
    # The first rule does nothing but be there: the kernel tracks connections only while some rule asks for
    # it, and the last backend's removal must not cut the connections it still has.
    rules = ((firewall.Translated(),), (firewall.Dispatch("services"),))
    output = Chain("output", rules, Base("nat", Hook.OUTPUT, DESTINATION_NAT))
    return Table(
        names.table(names.VIP_TABLE, family),
        (output,),
        (VerdictMap("services", KeyKind.ADDRESS, led.elements),),
        family,
        many=led.chains,
    )


def _led(facts: Facts, sandbox: Sandbox, family: Family) -> Led:
    """Where the task's connections are led, made from where they were: only what changed is made anew."""
    digests = {each.network.id: facts.digest(each.network.id) for each in overlays(sandbox)}
    known = facts.memory.led.get((sandbox.task_id, family))
    if known is None or known.digests.keys() != digests.keys():
        known = Led({id: Digest(NetworkTable()) for id in digests})
    chains, gone = dict[str, Chain](), list[str]()
    for network_id, digest in digests.items():
        before = known.digests[network_id]
        for service_id in digest.services_since(before, family) if before is not digest else ():
            gone += virtual_of(before.services.get(service_id))
            service = digest.services.get(service_id)
            for virtual_ip in virtual_of(service):
                assert service is not None
                if family_of(virtual_ip) is family:
                    active = digest.reach[family].active.get(service_id, ())
                    chains[virtual_ip] = _service(service, virtual_ip, active, sandbox.task_id)
    return Led(
        digests,
        known.chains.changed({each.name: each for each in chains.values()}, [_name(each) for each in gone]),
        known.elements.changed({ip: each.name for ip, each in chains.items()}, gone),
    )


def _service(service: ServiceRow, virtual_ip: str, active: tuple[str, ...], seed: str) -> Chain:
    targets = all_of(active)
    by_client = service.affinity is Affinity.CLIENT
    rules = shared(targets, RejectCode.HOST_UNREACHABLE, seed, by_client=by_client)
    return Chain(_name(virtual_ip), rules)


def _name(virtual_ip: str) -> str:
    return f"vip-{virtual_ip}"


@lru_cache(maxsize=4_096)
def all_of(addresses: tuple[str, ...], port: int = 0) -> tuple[Target, ...]:
    """The targets at these addresses, held once however many tasks call them."""
    return tuple(Target(each, port) for each in addresses)


def refused(*which: Statement, code: RejectCode = RejectCode.PORT_UNREACHABLE) -> tuple[Rule, ...]:
    """Rules that refuse at once what all of `which` match."""
    return ((*which, OverTcp(), Reset()), (*which, Reject(code)))


def shared(
    targets: tuple[Target, ...], none: RejectCode, seed: str, *, by_client: bool = False
) -> tuple[Rule, ...]:
    """Rules that share connections among `targets`, or refuse them at once if there are none."""
    if not targets:
        return refused(code=none)
    start = int.from_bytes(blake2b(seed.encode(), digest_size=4).digest(), "big") % len(targets)
    return ((Balance(targets, 0 if by_client else start, by_client),),)
