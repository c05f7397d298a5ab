"""The routing mesh: published ports of this node, each led to the tasks that answer it. Pure.

A port's chain is found by its number. What is published on one address has that in its rules, so one chain
may serve several ports of a number, each on its own address; `127.0.0.1` is one of these.

Where a task's node can send replies back through the node they came by (`way_back`), the task sees the
client's own address. Else, or if that is asked for, this node gives the connection its own.

Each family has a table of its own. What comes by IPv6 goes to tasks' IPv6 addresses: a network without them publishes
by IPv4 alone.
"""

from covey.model.specs import PortConfig
from covey.model.states import Affinity, MeshMode, Protocol, PublishMode
from covey.model.tables import NetworkTable, ServiceRow

from .. import names
from ..firewall import (
    Base,
    Chain,
    Dispatch,
    Drop,
    Family,
    FromAddress,
    Hook,
    InLink,
    Jump,
    KeyKind,
    Masquerade,
    OutLink,
    RejectCode,
    Rule,
    SentTo,
    Table,
    Target,
    ToAddress,
    ToThisHost,
    Translated,
    VerdictMap,
    family_of,
)
from ..state import LOCAL, Route
from .facts import Facts, Reach
from .task import DESTINATION_NAT, shared

LOOPBACK = {Family.IPV4: "127.0.0.0/8", Family.IPV6: "::1/128"}
PORTS = "ports"
SOURCE_NAT = 100
_RAW = -300
_PROTOCOLS = {Protocol.TCP: "tcp", Protocol.UDP: "udp", Protocol.SCTP: "sctp"}
_MASQUERADED = "masqueraded"


def port_key(port: PortConfig) -> str:
    """The port's key in the firewall's maps, `tcp 8080`."""
    return f"{_PROTOCOLS[port.protocol]} {port.published_port}"


def alone(address: str) -> str:
    """The subnet that holds this address and no other."""
    return f"{address}/{128 if family_of(address) is Family.IPV6 else 32}"


def answers(port: PortConfig, family: Family) -> bool:
    """Tell whether a port is published in a family: in both, if not on an address."""
    return not port.published_address or family_of(port.published_address) is family


def at_address(port: PortConfig, rules: tuple[Rule, ...]) -> list[Rule]:
    """The same rules for what comes to the port's published address, if it has one."""
    if not port.published_address:
        return list(rules)
    return [(ToAddress(alone(port.published_address)), *rule) for rule in rules]


def loopback_settings(facts: Facts, bridge: str, *, ipv6: bool) -> dict[str, str]:
    """Settings of a bridge of ours in the node's namespace: what is sent to loopback may leave by it, and IPv6 is on
    only where it is used. No router that tasks pretend to be is heeded there.
    """
    settings = {f"net/ipv4/conf/{bridge}/route_localnet": "1"}
    if facts.host.ipv6:
        settings[f"net/ipv6/conf/{bridge}/disable_ipv6"] = "0" if ipv6 else "1"
    if facts.host.ipv6 and ipv6:
        quiet = (("accept_ra", "0"), ("accept_dad", "0"), ("addr_gen_mode", "0"))
        settings |= {f"net/ipv6/conf/{bridge}/{name}": value for name, value in quiet}
    return settings


def loopback_route(bridge: str) -> Route:
    """IPv6 has no `route_localnet`: answers to what was sent to ::1 and left by the bridge would be taken for nobody's.

    What comes in for ::1 by itself the kernel drops before it looks at routes (RFC 4291, 2.5.3).
    """
    return Route(LOOPBACK[Family.IPV6], "", bridge, table=LOCAL)


def loopback_guard(link: str, family: Family) -> Chain:
    """`route_localnet` lets 127.0.0.1 reach a published port; no task may send there, though, nor as if from there."""
    own = LOOPBACK[family]
    return Chain(
        "guard",
        ((InLink(link), ToAddress(own), Drop()), (InLink(link), FromAddress(own), Drop())),
        Base("filter", Hook.PREROUTING, _RAW),
    )


def dispatching(family: Family) -> tuple[Chain, Chain]:
    """Lead what is sent to published ports to their chains: what comes in, and what this host itself sends.

    The kernel drops what comes in by a link for 127.0.0.1, but looks at that only after destinations were translated:
    led on, it would let everybody on the host's link in at a port that is published on that address.
    """
    published = (ToThisHost(), Dispatch(PORTS))
    return (
        Chain(
            "prerouting",
            ((ToAddress(LOOPBACK[family], negated=True), *published),),
            Base("nat", Hook.PREROUTING, DESTINATION_NAT),
        ),
        Chain("output", (published,), Base("nat", Hook.OUTPUT, DESTINATION_NAT)),
    )


def table(facts: Facts, network_id: str, within: str) -> Table:
    """Published ports: from any local address to any active endpoint of the ingress network's subnet `within`, all of
    its family.
    """
    family = family_of(within)
    said = facts.table(network_id)
    reach = facts.digest(network_id, names.INGRESS_VXLAN).reach[family]
    chains = _chains(facts, said, reach, family)
    out = Base("nat", Hook.POSTROUTING, SOURCE_NAT)
    return Table(
        names.table(names.MESH_TABLE, family),
        (
            loopback_guard(names.INGRESS_BRIDGE, family),
            *dispatching(family),
            Chain("postrouting", ((OutLink(names.INGRESS_BRIDGE), Jump(_MASQUERADED)),), out),
            Chain(_MASQUERADED, tuple(_masqueraded(facts, said, reach, within))),
            *chains.values(),
        ),
        (VerdictMap(PORTS, KeyKind.PORT, {key: chain.name for key, chain in chains.items()}),),
        family,
    )


def _published(said: NetworkTable, family: Family) -> list[tuple[ServiceRow, PortConfig]]:
    return [
        (service, port)
        for service in said.services
        for port in service.ports
        if port.publish_mode is PublishMode.INGRESS and port.published_port and answers(port, family)
    ]


def _chains(facts: Facts, said: NetworkTable, reach: Reach, family: Family) -> dict[str, Chain]:
    rules: dict[str, list[Rule]] = {}
    for service, port in _published(said, family):
        chosen = reach.here if port.mesh is MeshMode.LOCAL else reach.active
        targets = tuple(Target(each, port.target_port) for each in chosen.get(service.service_id, ()))
        by_client = service.affinity is Affinity.CLIENT
        led = shared(targets, RejectCode.PORT_UNREACHABLE, facts.host.node_id, by_client=by_client)
        rules.setdefault(port_key(port), []).extend(at_address(port, led))
    return {key: Chain(key.replace(" ", "-"), tuple(led)) for key, led in rules.items()}


def _masqueraded(facts: Facts, said: NetworkTable, reach: Reach, within: str) -> list[Rule]:
    """What gets this node's address on its way to a task.

    It must have been sent on by this node: where the host has its firewall look at bridged frames, those on
    their way from another node pass here too, and have all they need.
    """
    family = family_of(within)
    gateway = str(facts.gateway.subnet_in(family))  # tasks of other nodes have the same addresses
    rules: list[Rule] = [(FromAddress(LOOPBACK[family]), Masquerade()), (FromAddress(gateway), Masquerade())]
    if not facts.host.keeps_client_address:
        return [*rules, (FromAddress(within, negated=True), Masquerade())]
    for _, port in _published(said, family):
        if port.mesh is MeshMode.MASQUERADE:
            sent = SentTo(_PROTOCOLS[port.protocol], port.published_port, port.published_address)
            rules.append((Translated(), sent, Masquerade()))
    rules += [(Translated(), ToAddress(alone(each)), Masquerade()) for each in reach.unkept]
    return rules
