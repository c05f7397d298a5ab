"""The node's own namespace: the gateway bridge and the ingress network (`mesh` has the routing mesh).

This namespace is the host's. What is wished for here is only what is ours; everything else is neither
read nor touched, and the few kernel settings are those without which no packet could be forwarded.
"""

from collections.abc import Collection, Mapping

from covey.model.objects import Network
from covey.model.states import PublishMode

from .. import names
from ..firewall import (
    FAMILIES,
    Base,
    Chain,
    Count,
    Drop,
    Family,
    FromAddress,
    Hook,
    InLink,
    KeyKind,
    Masquerade,
    OutLink,
    RejectCode,
    Rule,
    Table,
    Target,
    ToAddress,
    ToPort,
    Translated,
    VerdictMap,
    family_of,
)
from ..seam import Sandbox
from ..state import Address, Kind, Link, Netns, Vxlan
from . import mesh, underlay
from .addressing import mac, subnet
from .facts import Facts, has_ipv6, ingress, mtu, vtep
from .mesh import (
    FILTER,
    LOOPBACK,
    PORTS,
    SOURCE_NAT,
    answers,
    asking,
    at_address,
    dispatching,
    has_settings_of_ipv6,
    loopback_guard,
    loopback_route,
    loopback_settings,
    port_key,
    unanswered,
)
from .overlay import answering, task_port, uplink
from .task import gateway_mac, has_way_out, places, refused, shared

_EVERY = {Family.IPV4: "", Family.IPV6: "::"}


def wish(facts: Facts) -> Netns:
    """What of ours the node's namespace should hold."""
    parts = []
    if any(has_way_out(sandbox) for sandbox in facts.sandboxes.values()):
        parts.append(_gateway(facts))
    if (found := _ingress(facts)) is not None:
        parts.append(found)
    underlay_ = _underlay(facts)
    if not parts:
        return underlay_
    parts.insert(0, underlay_)
    return Netns(
        links={name: link for part in parts for name, link in part.links.items()},
        addresses=frozenset(each for part in parts for each in part.addresses),
        routes=frozenset(each for part in parts for each in part.routes),
        statics=frozenset(each for part in parts for each in part.statics),
        forwards=parts[-1].forwards,
        neighbours=parts[-1].neighbours,
        tables={name: view for part in parts for name, view in part.tables.items()},
        rules={name: table for part in parts for name, table in part.rules.items()},
        sysctls={
            "net/ipv4/ip_forward": "1",
            **(_forwarding(facts) if any(part.routes for part in parts) else {}),
            **{path: value for part in parts for path, value in part.sysctls.items()},
        },
    )


def _forwarding(facts: Facts) -> dict[str, str]:
    """Have IPv6 forwarded. A host that does that no longer listens to routers, unless it is told to (`accept_ra`)."""
    heeding = {f"net/ipv6/conf/{link}/accept_ra": "2" for link in facts.host.advertised}
    return heeding | {"net/ipv6/conf/all/forwarding": "1"}


def host_keys(sandbox: Sandbox, families: Collection[Family]) -> list[str]:
    """The ports of this host that a task has for itself: `tcp 8080`, or `tcp 8080 192.0.2.1` on one address.

    In IPv6 all addresses are `::`.
    """
    return [
        f"{port_key(port)} {port.published_address or _EVERY[family]}".rstrip()
        for port in sandbox.host_ports
        for family in families
        if port.publish_mode is PublishMode.HOST and answers(port, family)
    ]


def forwarded_keys(node: Netns) -> set[str]:
    """The ports of this host that are forwarded to tasks, by the same keys."""
    both = (names.GATEWAY_TABLE, names.MESH_TABLE)
    known = [names.table(name, family) for name in both for family in FAMILIES]
    return {
        f"{key} {address or _EVERY[table.family]}".rstrip()
        for table in (node.rules[name] for name in known if name in node.rules)
        for each in table.maps
        if each.name == PORTS
        for key, chain in each.elements.items()
        for address in _addresses(table.chain(chain))
    }


def _addresses(chain: Chain) -> set[str]:
    """The addresses of this host that a port's chain answers on; an empty one for all of them."""
    first = [rule[0] for rule in chain.rules]
    return {each.cidr.partition("/")[0] if isinstance(each, ToAddress) else "" for each in first}


def _underlay(facts: Facts) -> Netns:
    table = underlay.table(facts)
    return Netns(tables={table.name: table.view()}, rules={table.name: table}) if table else Netns()


def _gateway(facts: Facts) -> Netns:
    gateway = facts.gateway
    bridge = names.GATEWAY_BRIDGE
    links = [Link(bridge, Kind.BRIDGE, facts.host.mtu, gateway_mac(gateway.address))]
    statics = []
    leaving = {task: each for task, each in facts.sandboxes.items() if has_way_out(each)}
    ipv6 = any(Family.IPV6 in facts.families(each) for each in leaving.values())
    for task, sandbox in leaving.items():
        port = names.gateway_port(task)
        end = f"eth{len(places(sandbox))}"
        apart = task_port(ipv6=ipv6, isolated=True)  # tasks meet on overlays, not on the way out
        links.append(Link(port, Kind.VETH, facts.host.mtu, master=bridge, port=apart, peer=(task, end)))
        statics.append((port, gateway_mac(gateway.given[task])))
    spoken = FAMILIES if ipv6 else (Family.IPV4,)
    tables = [_gateway_table(facts, leaving, family) for family in spoken]
    return Netns(
        links={link.name: link for link in links},
        addresses=frozenset(
            Address(bridge, f"{gateway.address_in(each)}/{gateway.subnet_in(each).prefixlen}")
            for each in spoken
        ),
        routes=frozenset({loopback_route(bridge)} if ipv6 else ()),
        statics=frozenset(statics),
        tables={table.name: table.view() for table in tables},
        rules={table.name: table for table in tables},
        sysctls=loopback_settings(facts, bridge, facts.host.mtu, ipv6=ipv6),
    )


def _gateway_table(facts: Facts, leaving: Mapping[str, Sandbox], family: Family) -> Table:
    """Masquerade on the way out, tasks kept apart, and ports published in host mode.

    VXLAN of a task's own making does not get out: to other nodes it would come from this one, which they trust.
    """
    bridge, subnet_ = names.GATEWAY_BRIDGE, str(facts.gateway.subnet_in(family))
    rules: dict[str, list[Rule]] = {}
    for task, sandbox in leaving.items():
        for port in sandbox.host_ports if family in facts.families(sandbox) else ():
            if port.publish_mode is PublishMode.HOST and answers(port, family):
                target = Target(facts.gateway.given_in(family, task), port.target_port)
                led = shared((target,), RejectCode.PORT_UNREACHABLE, task)
                led = (*_lost_on_the_bridge(facts, family), *led)
                rules.setdefault(port_key(port), []).extend(at_address(port, led))
    chains = {key: Chain(f"host-{key.replace(' ', '-')}", tuple(led)) for key, led in rules.items()}
    return Table(
        names.table(names.GATEWAY_TABLE, family),
        (
            loopback_guard(bridge, family),
            *dispatching(family),
            Chain(
                "forward",
                (
                    (InLink(bridge), OutLink(bridge), Translated(negated=True), Drop()),
                    (InLink(bridge), ToPort("udp", facts.host.vxlan_port), Count(), Drop()),
                ),
                Base("filter", Hook.FORWARD, FILTER),
            ),
            Chain(
                "postrouting",
                (
                    # towards ingress the mesh masquerades, with the node's ingress address
                    (FromAddress(subnet_), OutLink(names.INGRESS_BRIDGE, negated=True), Masquerade()),
                    (FromAddress(LOOPBACK[family]), OutLink(bridge), Masquerade()),
                ),
                Base("nat", Hook.POSTROUTING, SOURCE_NAT),
            ),
            *unanswered(facts, family),
            *chains.values(),
        ),
        (VerdictMap(PORTS, KeyKind.PORT, {key: chain.name for key, chain in chains.items()}),),
        family,
    )


def _lost_on_the_bridge(facts: Facts, family: Family) -> tuple[Rule, ...]:
    """Rules that refuse what would lead nowhere, where the host's firewall looks at bridged frames.

    Then the kernel bridges what comes by a bridge and was translated to go back by it, and tasks are kept apart there.
    """
    if family not in facts.host.filtered:
        return ()
    return (*refused(InLink(names.GATEWAY_BRIDGE)), *asking(unanswered(facts, family)))


def ingress_network(facts: Facts) -> Network | None:
    """The ingress network as learnt, or as a task here is attached to it, once it has a VNI."""
    attached = (ingress(sandbox) for sandbox in facts.sandboxes.values())
    known = [*facts.networks.values(), *(each.network for each in attached if each)]
    return next((each for each in known if each.spec.ingress and each.vni), None)


def _ingress(facts: Facts) -> Netns | None:
    network = ingress_network(facts)
    if network is None or not (local := vtep(network, facts.host)):
        return None
    digest = facts.digest(network.id, names.INGRESS_VXLAN)
    own = digest.own  # once its table is here
    bridge, size = names.INGRESS_BRIDGE, mtu(network, facts.host)
    ipv6 = has_ipv6(network, facts.host)
    vxlan = Vxlan(network.vni, local, facts.host.vxlan_port)
    links = [
        Link(bridge, Kind.BRIDGE, size, mac(own.number) if own else ""),
        Link(names.INGRESS_VXLAN, Kind.VXLAN, size, master=bridge, port=uplink(ipv6=ipv6), vxlan=vxlan),
    ]
    statics = []
    for task, sandbox in facts.sandboxes.items():
        attachment = ingress(sandbox)
        if attachment is not None:
            port, end = names.ingress_port(task), places(sandbox)[-1][1]
            there = task_port(ipv6=ipv6)
            links.append(Link(port, Kind.VETH, size, master=bridge, port=there, peer=(task, end)))
            statics.append((port, mac(attachment.endpoint.number)))
    addresses, tables = [], []
    for each in own.addresses if own else ():
        if family_of(each) is Family.IPV4 or ipv6:
            within = subnet(network, each)
            addresses.append(Address(bridge, f"{each}/{within.prefixlen}"))
            tables.append(mesh.table(facts, network.id, str(within)))
    return Netns(
        links={link.name: link for link in links},
        addresses=frozenset(addresses),
        routes=frozenset({loopback_route(bridge)} if ipv6 else ()),
        statics=frozenset(statics),
        forwards=digest.forwards,
        neighbours=digest.neighbours,
        tables={table.name: table.view() for table in tables},
        rules={table.name: table for table in tables},
        sysctls=loopback_settings(facts, bridge, size, ipv6=ipv6) | _vxlan_settings(facts, size, ipv6=ipv6),
    )


def _vxlan_settings(facts: Facts, size: int, *, ipv6: bool) -> dict[str, str]:
    if ipv6:
        return answering(names.INGRESS_VXLAN)
    switched_off = {f"net/ipv6/conf/{names.INGRESS_VXLAN}/disable_ipv6": "1"}
    return switched_off if has_settings_of_ipv6(facts, size) else {}
