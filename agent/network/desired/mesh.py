"""The routing mesh: published ports of this node, each led to the tasks that answer it. Pure.

A port's chain is found by its number. What is published on one address has that in its rules, so one chain
may serve several ports of a number, each on its own address; `127.0.0.1` is one of these.

Where a task's node can send replies back through the node they came by (`way_back`), the task sees the
client's own address. Else, or if that is asked for, this node gives the connection its own.
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
)
from .facts import Digest, Facts
from .task import DESTINATION_NAT, shared

LOOPBACK = "127.0.0.0/8"
PORTS = "ports"
SOURCE_NAT = 100
_RAW = -300
_PROTOCOLS = {Protocol.TCP: "tcp", Protocol.UDP: "udp", Protocol.SCTP: "sctp"}
_MASQUERADED = "masqueraded"


def port_key(port: PortConfig) -> str:
    """The port's key in the firewall's maps, `tcp 8080`."""
    return f"{_PROTOCOLS[port.protocol]} {port.published_port}"


def at_address(port: PortConfig, rules: tuple[Rule, ...]) -> list[Rule]:
    """The same rules for what comes to the port's published address, if it has one."""
    if not port.published_address:
        return list(rules)
    return [(ToAddress(f"{port.published_address}/32"), *rule) for rule in rules]


def loopback_guard(link: str) -> Chain:
    """`route_localnet` lets 127.0.0.1 reach a published port; no task may send there, though, nor as if from there."""
    return Chain(
        "guard",
        ((InLink(link), ToAddress(LOOPBACK), Drop()), (InLink(link), FromAddress(LOOPBACK), Drop())),
        Base("filter", Hook.PREROUTING, _RAW),
    )


def dispatching() -> tuple[Chain, Chain]:
    """Lead what is sent to published ports to their chains: what comes in, and what this host itself sends.

    The kernel drops what comes in by a link for 127.0.0.1, but looks at that only after destinations were translated:
    led on, it would let everybody on the host's link in at a port that is published on that address.
    """
    published = (ToThisHost(), Dispatch(PORTS))
    return (
        Chain(
            "prerouting",
            ((ToAddress(LOOPBACK, negated=True), *published),),
            Base("nat", Hook.PREROUTING, DESTINATION_NAT),
        ),
        Chain("output", (published,), Base("nat", Hook.OUTPUT, DESTINATION_NAT)),
    )


def table(facts: Facts, network_id: str, within: str) -> Table:
    """Published ports: from any local address to any active endpoint of the ingress network's subnet `within`."""
    said = facts.table(network_id)
    digest = facts.digest(network_id, names.INGRESS_VXLAN)
    chains = _chains(facts, said, digest)
    out = Base("nat", Hook.POSTROUTING, SOURCE_NAT)
    return Table(
        names.MESH_TABLE,
        (
            loopback_guard(names.INGRESS_BRIDGE),
            *dispatching(),
            Chain("postrouting", ((OutLink(names.INGRESS_BRIDGE), Jump(_MASQUERADED)),), out),
            Chain(_MASQUERADED, tuple(_masqueraded(facts, said, digest, within))),
            *chains.values(),
        ),
        (VerdictMap(PORTS, KeyKind.PORT, {key: chain.name for key, chain in chains.items()}),),
    )


def _published(said: NetworkTable) -> list[tuple[ServiceRow, PortConfig]]:
    return [
        (service, port)
        for service in said.services
        for port in service.ports
        if port.publish_mode is PublishMode.INGRESS and port.published_port
    ]


def _chains(facts: Facts, said: NetworkTable, digest: Digest) -> dict[str, Chain]:
    rules: dict[str, list[Rule]] = {}
    for service, port in _published(said):
        chosen = digest.here if port.mesh is MeshMode.LOCAL else digest.active
        targets = tuple(Target(each, port.target_port) for each in chosen.get(service.service_id, ()))
        by_client = service.affinity is Affinity.CLIENT
        led = shared(targets, RejectCode.PORT_UNREACHABLE, facts.host.node_id, by_client=by_client)
        rules.setdefault(port_key(port), []).extend(at_address(port, led))
    return {key: Chain(key.replace(" ", "-"), tuple(led)) for key, led in rules.items()}


def _masqueraded(facts: Facts, said: NetworkTable, digest: Digest, within: str) -> list[Rule]:
    """What gets this node's address on its way to a task.

    It must have been sent on by this node: where the host has its firewall look at bridged frames, those on
    their way from another node pass here too, and have all they need.
    """
    rules: list[Rule] = [
        (FromAddress(LOOPBACK), Masquerade()),
        (
            FromAddress(str(facts.gateway.subnet)),
            Masquerade(),
        ),  # tasks of other nodes have the same addresses
    ]
    if not facts.host.keeps_client_address:
        return [*rules, (FromAddress(within, negated=True), Masquerade())]
    for _, port in _published(said):
        if port.mesh is MeshMode.MASQUERADE:
            sent = SentTo(_PROTOCOLS[port.protocol], port.published_port, port.published_address)
            rules.append((Translated(), sent, Masquerade()))
    rules += [(Translated(), ToAddress(f"{each}/32"), Masquerade()) for each in digest.unkept]
    return rules
