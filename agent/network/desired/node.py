"""The node's own namespace: the gateway bridge, the ingress network and the routing mesh.

This namespace is the host's. What is wished for here is only what is ours; everything else is neither
read nor touched, and the few kernel settings are those without which no packet could be forwarded.
"""

from covey.model.objects import Network
from covey.model.specs import PortConfig
from covey.model.states import Protocol, PublishMode
from covey.model.tables import EndpointRow

from .. import names
from ..firewall import (
    Base,
    Chain,
    Dispatch,
    Drop,
    FromAddress,
    Hook,
    InLink,
    KeyKind,
    Masquerade,
    OutLink,
    RejectCode,
    Table,
    Target,
    ToAddress,
    ToThisHost,
    Translated,
    VerdictMap,
)
from ..seam import Sandbox
from ..state import Address, Kind, Link, Netns, Port, Vxlan
from .facts import Facts, ingress, ipv4, mac, mtu, subnet
from .overlay import UPLINK
from .task import DESTINATION_NAT, balanced, gateway_mac, has_way_out, places

LOOPBACK = "127.0.0.0/8"
RAW = -300
FILTER = 0
SOURCE_NAT = 100
_PORTS = "ports"
PROTOCOLS = {Protocol.TCP: "tcp", Protocol.UDP: "udp", Protocol.SCTP: "sctp"}


def wish(facts: Facts) -> Netns:
    """What of ours the node's namespace should hold."""
    parts = []
    if any(has_way_out(sandbox) for sandbox in facts.sandboxes.values()):
        parts.append(_gateway(facts))
    if (found := _ingress(facts)) is not None:
        parts.append(found)
    if not parts:
        return Netns()
    return Netns(
        links={name: link for part in parts for name, link in part.links.items()},
        addresses=frozenset(each for part in parts for each in part.addresses),
        statics=frozenset(each for part in parts for each in part.statics),
        forwards=parts[-1].forwards,
        neighbours=parts[-1].neighbours,
        tables={name: view for part in parts for name, view in part.tables.items()},
        rules={name: table for part in parts for name, table in part.rules.items()},
        sysctls={
            "net/ipv4/ip_forward": "1",
            **{path: value for part in parts for path, value in part.sysctls.items()},
        },
    )


def host_keys(sandbox: Sandbox) -> list[str]:
    """The ports of this host that a task has for itself, by their keys in the firewall's maps (`tcp 8080`)."""
    return [_key(port) for port in sandbox.host_ports if port.publish_mode is PublishMode.HOST]


def forwarded_keys(node: Netns) -> set[str]:
    """The ports of this host that are forwarded to tasks, by the same keys."""
    tables = (node.rules[name] for name in (names.GATEWAY_TABLE, names.MESH_TABLE) if name in node.rules)
    return {key for table in tables for each in table.maps if each.name == _PORTS for key in each.elements}


def _key(port: PortConfig) -> str:
    return f"{PROTOCOLS[port.protocol]} {port.published_port}"


def _gateway(facts: Facts) -> Netns:
    gateway = facts.gateway
    bridge = names.GATEWAY_BRIDGE
    links = [Link(bridge, Kind.BRIDGE, facts.host.mtu, gateway_mac(gateway.address))]
    statics = []
    for task, sandbox in facts.sandboxes.items():
        if not has_way_out(sandbox):
            continue
        port = names.gateway_port(task)
        end = f"eth{len(places(sandbox))}"
        links.append(
            Link(
                port,
                Kind.VETH,
                facts.host.mtu,
                master=bridge,
                port=Port(isolated=True),  # tasks meet on overlays, not on the way out
                peer=(task, end),
            )
        )
        statics.append((port, gateway_mac(gateway.given[task])))
    table = _gateway_table(facts)
    return Netns(
        links={link.name: link for link in links},
        addresses=frozenset({Address(bridge, f"{gateway.address}/{gateway.subnet.prefixlen}")}),
        statics=frozenset(statics),
        tables={table.name: table.view()},
        rules={table.name: table},
        sysctls=_bridge_settings(facts, bridge),
    )


def _gateway_table(facts: Facts) -> Table:
    """Masquerade on the way out, tasks kept apart, and ports published in host mode."""
    bridge, subnet_ = names.GATEWAY_BRIDGE, str(facts.gateway.subnet)
    chains = {}
    for task, sandbox in facts.sandboxes.items():
        for port in sandbox.host_ports:
            if port.publish_mode is PublishMode.HOST and has_way_out(sandbox):
                key = _key(port)
                target = Target(facts.gateway.given[task], port.target_port)
                chains[key] = balanced(
                    f"host-{key.replace(' ', '-')}", (target,), RejectCode.PORT_UNREACHABLE, task
                )
    published = (ToThisHost(), Dispatch(_PORTS))
    return Table(
        names.GATEWAY_TABLE,
        (
            _loopback_guard(bridge),
            Chain("prerouting", (published,), Base("nat", Hook.PREROUTING, DESTINATION_NAT)),
            Chain("output", (published,), Base("nat", Hook.OUTPUT, DESTINATION_NAT)),
            Chain(
                "forward",
                ((InLink(bridge), OutLink(bridge), Translated(negated=True), Drop()),),
                Base("filter", Hook.FORWARD, FILTER),
            ),
            Chain(
                "postrouting",
                (
                    # towards ingress the mesh masquerades, with the node's ingress address
                    (FromAddress(subnet_), OutLink(names.INGRESS_BRIDGE, negated=True), Masquerade()),
                    (FromAddress(LOOPBACK), OutLink(bridge), Masquerade()),
                ),
                Base("nat", Hook.POSTROUTING, SOURCE_NAT),
            ),
            *chains.values(),
        ),
        (VerdictMap(_PORTS, KeyKind.PORT, {key: chain.name for key, chain in chains.items()}),),
    )


def _loopback_guard(link: str) -> Chain:
    """`route_localnet` lets 127.0.0.1 reach a published port; nobody outside may send there, though."""
    return Chain(
        "guard",
        ((InLink(link), ToAddress(LOOPBACK), Drop()),),
        Base("filter", Hook.PREROUTING, RAW),
    )


def _bridge_settings(facts: Facts, bridge: str) -> dict[str, str]:
    settings = {f"net/ipv4/conf/{bridge}/route_localnet": "1"}
    if facts.host.ipv6:
        settings[f"net/ipv6/conf/{bridge}/disable_ipv6"] = "1"
    return settings


def ingress_network(facts: Facts) -> Network | None:
    """The ingress network as learnt, or as a task here is attached to it, once it has a VNI."""
    attached = (ingress(sandbox) for sandbox in facts.sandboxes.values())
    known = [*facts.networks.values(), *(each.network for each in attached if each)]
    return next((each for each in known if each.spec.ingress and each.vni), None)


def _own(facts: Facts, network: Network) -> EndpointRow | None:
    """This node's own endpoint on the ingress network, once its table is here."""
    for row in facts.table(network.id).endpoints:
        if row.node_id == facts.host.node_id and not row.task_id and ipv4(row):
            return row
    return None


def _ingress(facts: Facts) -> Netns | None:
    network = ingress_network(facts)
    if network is None:
        return None
    own = _own(facts, network)
    bridge, size = names.INGRESS_BRIDGE, mtu(network, facts.host)
    vxlan = Vxlan(network.vni, facts.host.vtep, facts.host.vxlan_port)
    links = [
        Link(bridge, Kind.BRIDGE, size, mac(own.number) if own else ""),
        Link(names.INGRESS_VXLAN, Kind.VXLAN, size, master=bridge, port=UPLINK, vxlan=vxlan),
    ]
    statics = []
    for task, sandbox in facts.sandboxes.items():
        attachment = ingress(sandbox)
        if attachment is not None:
            port, end = names.ingress_port(task), places(sandbox)[-1][1]
            links.append(Link(port, Kind.VETH, size, master=bridge, port=Port(), peer=(task, end)))
            statics.append((port, mac(attachment.endpoint.number)))
    addresses, tables = [], []
    if own is not None:
        within = subnet(network, ipv4(own))
        addresses.append(Address(bridge, f"{ipv4(own)}/{within.prefixlen}"))
        tables.append(_mesh(facts, network.id, str(within)))
    digest = facts.digest(network.id, names.INGRESS_VXLAN)
    return Netns(
        links={link.name: link for link in links},
        addresses=frozenset(addresses),
        statics=frozenset(statics),
        forwards=digest.forwards,
        neighbours=digest.neighbours,
        tables={table.name: table.view() for table in tables},
        rules={table.name: table for table in tables},
        sysctls=_bridge_settings(facts, bridge),
    )


def _mesh(facts: Facts, network_id: str, within: str) -> Table:
    """Published ports: from any local address to any active endpoint, masqueraded as this node.

    What comes from the ingress subnet itself needs no masquerade, and must not get any: where the host has
    its firewall look at bridged frames, those on their way from another node pass this chain too.
    """
    table = facts.table(network_id)
    active = facts.digest(network_id, names.INGRESS_VXLAN).active
    chains = {}
    for service in table.services:
        for port in service.ports:
            if port.publish_mode is not PublishMode.INGRESS or not port.published_port:
                continue
            key = _key(port)
            targets = tuple(Target(each, port.target_port) for each in active.get(service.service_id, ()))
            chains[key] = balanced(
                key.replace(" ", "-"), targets, RejectCode.PORT_UNREACHABLE, facts.host.node_id
            )
    published = (ToThisHost(), Dispatch(_PORTS))
    return Table(
        names.MESH_TABLE,
        (
            _loopback_guard(names.INGRESS_BRIDGE),
            Chain("prerouting", (published,), Base("nat", Hook.PREROUTING, DESTINATION_NAT)),
            Chain("output", (published,), Base("nat", Hook.OUTPUT, DESTINATION_NAT)),
            Chain(
                "postrouting",
                ((OutLink(names.INGRESS_BRIDGE), FromAddress(within, negated=True), Masquerade()),),
                Base("nat", Hook.POSTROUTING, SOURCE_NAT),
            ),
            *chains.values(),
        ),
        (VerdictMap(_PORTS, KeyKind.PORT, {key: chain.name for key, chain in chains.items()}),),
    )
