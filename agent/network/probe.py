"""What on this host would break the networks, found before it does and named with its remedy.

Pure: `io/survey` looks at the host, `findings` judges. Other programs' rules and routes are never changed.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_network

from covey.model import network_options
from covey.model.objects import Network

from . import names
from .firewall import Family, family_of

ONLY_IPV6 = " (ip6)"
"""What the name of a firewall's chain ends with that sees nothing else."""


class Severity(StrEnum):
    """Whether networks cannot work at all, or some traffic will be lost."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, in words that name it and the remedy."""

    severity: Severity
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.severity} ({self.subject}): {self.text}"


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen of the host.

    `forward_drops` name forward hooks whose policy is to drop, `routes` the destinations of routes that are
    not ours (with the link they lead over), `udp_port_taken_by` who holds the VXLAN port, `missing` what
    the kernel lacks (feature to the kernel option that brings it). `ipv6`: whether the host has it at all.
    `filters_bridged_ipv6`: whether its firewall looks at frames of IPv6 that bridges pass on.
    """

    forward_drops: tuple[str, ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    udp_port_taken_by: str = ""
    missing: dict[str, str] = field(default_factory=dict[str, str])
    ipv6: bool = True
    filters_bridged_ipv6: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What the cluster wants of the host: its networks' subnets, those of them that are the ingress network's, and
    the address VXLAN packets come from, with the MTU that networks were built for (0 if none was yet). `parents` are the
    interfaces by which macvlan networks of tasks here go, each with the name of one.
    """

    subnets: Collection[str] = ()
    ingress: Collection[str] = ()
    vtep: str = ""
    mtu: int = 0
    parents: Mapping[str, str] = field(default_factory=dict[str, str])


def known(networks: Iterable[Network], vtep: str, mtu: int, parents: Mapping[str, str]) -> Known:
    """Put together what the cluster wants. The subnet of a LAN is the host's own as well."""
    overlays = [each for each in networks if each.spec.driver != network_options.MACVLAN]
    ingress = {subnet.cidr for each in overlays if each.spec.ingress for subnet in each.subnets}
    return Known([subnet.cidr for each in overlays for subnet in each.subnets], ingress, vtep, mtu, parents)


def findings(
    survey: Survey, subnets: Collection[str], vxlan_port: int, ingress: Collection[str] = ()
) -> list[Finding]:
    """Judge a survey, given the cluster's subnets, and which of them are the ingress network's."""
    ipv6 = any(family_of(each) is Family.IPV6 for each in subnets)
    found = [
        Finding(
            Severity.ERROR,
            "kernel",
            f"this kernel cannot do {feature}; load or build {option} and restart coveyd",
        )
        for feature, option in sorted(survey.missing.items())
    ]
    if survey.udp_port_taken_by:
        found.append(
            Finding(
                Severity.ERROR,
                "vxlan",
                f"UDP port {vxlan_port} is taken by {survey.udp_port_taken_by}, so no overlay can be built; "
                "stop that, or choose another port when the cluster is made (--data-path-port)",
            )
        )
    found += [
        Finding(
            Severity.WARNING,
            "firewall",
            f"{chain} drops forwarded packets by default: published ports and tasks' way out will not work; "
            f"accept what comes from or goes to {names.GATEWAY_BRIDGE} and {names.INGRESS_BRIDGE} there",
        )
        for chain in survey.forward_drops
        if ipv6 or not chain.endswith(ONLY_IPV6)
    ]
    if ipv6:
        found += _of_ipv6(survey, ingress)
    for subnet in sorted(set(subnets)):
        found += _overlaps(subnet, survey.routes, is_ingress=subnet in ingress)
    return found


def _of_ipv6(survey: Survey, ingress: Iterable[str]) -> list[Finding]:
    """What matters only where networks have IPv6."""
    if not survey.ipv6:
        return [
            Finding(
                Severity.WARNING,
                "ipv6",
                "this host has no IPv6 (booted with ipv6.disable=1, or without the module ipv6): tasks here have "
                "IPv4 alone, and none run here on networks that have IPv6 alone; enable it and restart coveyd",
            )
        ]
    if survey.filters_bridged_ipv6 and any(family_of(each) is Family.IPV6 for each in ingress):
        return [
            Finding(
                Severity.WARNING,
                "loopback",
                "this host's firewall looks at bridged frames of IPv6, and so the kernel would drop answers to [::1]: "
                "published ports refuse there; ask 127.0.0.1 or the node's own address, or, where nothing needs "
                "that (Kubernetes may), set net.bridge.bridge-nf-call-ip6tables to 0",
            )
        ]
    return []


def shared_port(key: str, program: str) -> Finding:
    """Name a program that listens on a port which the routing mesh answers on every node."""
    return Finding(
        Severity.ERROR,
        "port",
        f"port {port_of(key)} is published by a service, and {program} listens on it here: what comes to this "
        "node goes to the service; stop that program, or publish another port",
    )


def strangers(packets: int, senders: Iterable[str]) -> Finding:
    """Say that VXLAN packets of strangers were dropped; `packets` is rounded, so that it is not said of each."""
    return Finding(
        Severity.WARNING,
        "vxlan",
        f"{packets:,} VXLAN packets or more came for this cluster's networks from addresses that are no node's "
        f"({', '.join(senders)}) and were dropped: somebody forges them, or a node sends from another address "
        "than it says (--data-path-addr)",
    )


def forged(packets: int) -> Finding:
    """Say that VXLAN packets of tasks here were dropped; `packets` is rounded."""
    return Finding(
        Severity.WARNING,
        "vxlan",
        f"{packets:,} VXLAN packets or more that tasks on this node made themselves were dropped: others would take them "
        "for this node's; find the task that does that (without NET_RAW, --cap-drop, it can at least forge no addresses)",
    )


def smaller(link_mtu: int, mtu: int) -> Finding:
    """Say that the link below has become too small for what the overlays here were built for."""
    return Finding(
        Severity.ERROR,
        "mtu",
        f"the link with this node's data address carries packets of {link_mtu} bytes, and networks here were built for "
        f"{mtu}: large packets between nodes are lost; raise the link's MTU, or restart coveyd, which lowers theirs",
    )


def crowded(denied: str) -> Finding:
    """The kernel cannot be told to know more neighbours."""
    return Finding(
        Severity.WARNING,
        "neighbours",
        f"this node may not set {denied}: with the kernel's own bounds, connections hang once its containers speak to "
        "some hundreds of others; set it for the host",
    )


def lost(interface: str, network: str) -> Finding:
    """Name an interface that went while tasks were on a network that goes by it."""
    return Finding(
        Severity.ERROR,
        "interface",
        f"network {network} goes by interface {interface}, which this node has no more: its tasks here are on it no "
        "more until it is back",
    )


def port_of(key: str) -> str:
    """`tcp 8080`, as firewall maps have it, as people write it: `8080/tcp`, and `192.0.2.1:8080/tcp`."""
    protocol, number, *address = key.split()
    shown = [f"[{each}]" if ":" in each else each for each in address]
    return ":".join([*shown, f"{number}/{protocol}"])


def _overlaps(subnet: str, routes: Iterable[tuple[str, str]], *, is_ingress: bool) -> list[Finding]:
    ours = ip_network(subnet)
    if is_ingress:  # its addresses are the host's own, too
        severity = Severity.ERROR
        words = "published ports, and what is there, may answer nobody; make the ingress network anew with another "
        words += "subnet (covey network rm -f ingress; covey network create --ingress --subnet)"
    else:
        severity = Severity.WARNING
        words = "tasks cannot reach what is there; give the network another subnet"
    return [
        Finding(
            severity,
            "route",
            f"this host routes {route} over {link}, which overlaps the network subnet {subnet}: {words}",
        )
        for route, link in routes
        if (theirs := ip_network(route, strict=False)).prefixlen and theirs.version == ours.version
        if theirs.overlaps(ours)
    ]
