"""The routing mesh: published ports of this node, each led to the tasks that answer it. Pure.

A port's chain is found by its number. What is published on one address has that in its rules, so one chain
may serve several ports of a number, each on its own address; `127.0.0.1` is one of these.

Where a task's node can send replies back through the node they came by (`way_back`), the task sees the
client's own address. Else, or if that is asked for, this node gives the connection its own.

Each family has a table of its own. What comes by IPv6 goes to tasks' IPv6 addresses: a network without them publishes
by IPv4 alone.
"""

from covey import limits
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
    ToAddress,
    ToThisHost,
    Translated,
    VerdictMap,
    family_of,
)
from ..state import LOCAL, Route
from .digest import UNKEPT, Digest
from .facts import Facts
from .memory import Published
from .task import DESTINATION_NAT, all_of, refused, shared

LOOPBACK = {Family.IPV4: "127.0.0.0/8", Family.IPV6: "::1/128"}
PORTS = "ports"
FILTER = 0
SOURCE_NAT = 100
_RAW = -300
_PROTOCOLS = {Protocol.TCP: "tcp", Protocol.UDP: "udp", Protocol.SCTP: "sctp"}
_MASQUERADED = "masqueraded"
_UNKEPT = "unkept"
_UNANSWERED = "unanswered"


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


def loopback_settings(facts: Facts, bridge: str, size: int, *, ipv6: bool) -> dict[str, str]:
    """Settings of a bridge of ours in the node's namespace: what is sent to loopback may leave by it, and IPv6 is on
    only where it is used. No router that tasks pretend to be is heeded there.
    """
    settings = {f"net/ipv4/conf/{bridge}/route_localnet": "1"}
    if has_settings_of_ipv6(facts, size):
        settings[f"net/ipv6/conf/{bridge}/disable_ipv6"] = "0" if ipv6 else "1"
    if facts.host.ipv6 and ipv6:
        quiet = (("accept_ra", "0"), ("accept_dad", "0"), ("addr_gen_mode", "0"))
        settings |= {f"net/ipv6/conf/{bridge}/{name}": value for name, value in quiet}
    return settings


def has_settings_of_ipv6(facts: Facts, size: int) -> bool:
    """Tell whether a link of this MTU has settings of IPv6: smaller ones have none of it, and nothing to switch off."""
    return facts.host.ipv6 and size >= limits.ipv6_mtu_bytes_min


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


def unanswered(facts: Facts, family: Family) -> tuple[Chain, ...]:
    """A chain that refuses what is sent to ::1, where no answer would ever come from there: better than silence.

    Where the host's firewall looks at bridged frames, answers have their destination translated back as they come by
    the bridge, before the kernel looks at what comes in for ::1 by a link: that it drops.
    """
    if family is Family.IPV4 or family not in facts.host.filtered:
        return ()
    return (Chain(_UNANSWERED, refused(ToAddress(LOOPBACK[family]))),)


def asking(chains: tuple[Chain, ...]) -> tuple[Rule, ...]:
    """Rules that go through these chains first."""
    return tuple((Jump(each.name),) for each in chains)


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
    digest = facts.digest(network_id, names.INGRESS_VXLAN)
    ports = facts.memory.published[family] = _ports(facts, digest, family)
    out = Base("nat", Hook.POSTROUTING, SOURCE_NAT)
    chains = [
        loopback_guard(names.INGRESS_BRIDGE, family),
        *dispatching(family),
        Chain(
            "forward",
            # a task's answers go this way, and nothing else: not VXLAN of its own making, nor by a way out it has not
            (
                (
                    InLink(names.INGRESS_BRIDGE),
                    OutLink(names.INGRESS_BRIDGE, negated=True),
                    Translated(negated=True),
                    Drop(),
                ),
            ),
            Base("filter", Hook.FORWARD, FILTER),
        ),
        Chain("postrouting", ((OutLink(names.INGRESS_BRIDGE), Jump(_MASQUERADED)),), out),
        Chain(_MASQUERADED, tuple(_masqueraded(facts, ports, within))),
        *unanswered(facts, family),
    ]
    maps = [VerdictMap(PORTS, KeyKind.PORT, ports.elements)]
    if facts.host.keeps_client_address:
        chains.append(Chain(UNKEPT, ((Masquerade(),),)))
        maps.append(VerdictMap(_UNKEPT, KeyKind.ADDRESS, digest.reach[family].unkept))
    return Table(names.table(names.MESH_TABLE, family), tuple(chains), tuple(maps), family, many=ports.chains)


def _ports(facts: Facts, digest: Digest, family: Family) -> Published:
    """The chains of all published ports, made from what they were: only those that changed are made anew."""
    known = facts.memory.published.get(family)
    if known is None or known.digest.table.network_id != digest.table.network_id:
        known = Published(Digest(NetworkTable(network_id=digest.table.network_id)))
    before = known.digest
    concerned = digest.services_since(before, family) if before is not digest else set[str]()
    keys = {
        port_key(port)
        for said in (before, digest)
        for service_id in concerned
        for port in _published(said.services.get(service_id), family)
    }
    publishers = {key: set(known.services.get(key, ())) - concerned for key in keys}
    for service_id in concerned:
        for port in _published(digest.services.get(service_id), family):
            publishers[port_key(port)].add(service_id)
    services = {key: tuple(sorted(ids)) for key, ids in publishers.items() if ids}
    chains = {key: _chain(facts, digest, family, key, ids) for key, ids in services.items()}
    gone = keys - services.keys()
    masquerading = {id: _masquerading(digest.services.get(id), family) for id in concerned}
    return Published(
        digest,
        known.services.changed(services, gone),
        known.chains.changed({each.name: each for each in chains.values()}, [_name(key) for key in gone]),
        known.elements.changed({key: each.name for key, each in chains.items()}, gone),
        known.masqueraded.changed({id: each for id, each in masquerading.items() if each}, concerned),
    )


def _published(service: ServiceRow | None, family: Family) -> list[PortConfig]:
    return [
        port
        for port in (service.ports if service is not None else ())
        if port.publish_mode is PublishMode.INGRESS and port.published_port and answers(port, family)
    ]


def _masquerading(service: ServiceRow | None, family: Family) -> tuple[PortConfig, ...]:
    return tuple(port for port in _published(service, family) if port.mesh is MeshMode.MASQUERADE)


def _chain(facts: Facts, digest: Digest, family: Family, key: str, service_ids: tuple[str, ...]) -> Chain:
    """What answers at a port number: each service that has it, on its own address where it is several."""
    rules: list[Rule] = []
    reach = digest.reach[family]
    for service_id in service_ids:
        service = digest.services[service_id]
        for port in _published(service, family):
            if port_key(port) != key:
                continue
            chosen = reach.here if port.mesh is MeshMode.LOCAL else reach.active
            targets = all_of(chosen.get(service_id, ()), port.target_port)
            by_client = service.affinity is Affinity.CLIENT
            led = shared(targets, RejectCode.PORT_UNREACHABLE, facts.host.node_id, by_client=by_client)
            rules += at_address(port, (*asking(unanswered(facts, family)), *led))
    return Chain(_name(key), tuple(rules))


def _name(key: str) -> str:
    return key.replace(" ", "-")


def _masqueraded(facts: Facts, ports: Published, within: str) -> list[Rule]:
    """What gets this node's address on its way to a task.

    It must have been sent on by this node: where the host has its firewall look at bridged frames, those on
    their way from another node pass here too, and have all they need.
    """
    family = family_of(within)
    gateway = str(facts.gateway.subnet_in(family))  # tasks of other nodes have the same addresses
    rules: list[Rule] = [(FromAddress(LOOPBACK[family]), Masquerade()), (FromAddress(gateway), Masquerade())]
    if not facts.host.keeps_client_address:
        return [*rules, (FromAddress(within, negated=True), Masquerade())]
    for service_id in sorted(ports.masqueraded):
        for port in ports.masqueraded[service_id]:
            sent = SentTo(_PROTOCOLS[port.protocol], port.published_port, port.published_address)
            rules.append((Translated(), sent, Masquerade()))
    return [*rules, (Translated(), Dispatch(_UNKEPT))]
