"""The sandbox namespace of one overlay network: a bridge, the VXLAN device, a port per task here."""

from .. import names
from ..state import Kind, Link, Netns, Port, Vxlan
from .facts import Facts, Host, mac, mtu, overlays

UPLINK = Port(flood=True)  # what no port is known for can only be on another node


def sandboxes(facts: Facts) -> set[str]:
    """The sandboxes that should exist: of every network with a task here."""
    return {
        names.sandbox(attachment.network.id)
        for sandbox in facts.sandboxes.values()
        for attachment in overlays(sandbox)
    }


def wish(facts: Facts, name: str) -> Netns:
    """What the sandbox called `name` should hold."""
    members = list(facts.attachments(names.network_of(name)))
    network = facts.networks.get(members[0][1].network.id) or members[0][1].network
    size = mtu(network, facts.host)
    links = [
        Link("lo", Kind.LOOPBACK),
        Link(names.SANDBOX_BRIDGE, Kind.BRIDGE, size),
        Link(
            names.SANDBOX_VXLAN,
            Kind.VXLAN,
            size,
            master=names.SANDBOX_BRIDGE,
            port=UPLINK,
            vxlan=Vxlan(network.vni, facts.host.vtep, facts.host.vxlan_port),
        ),
    ]
    statics = []
    for task_id, attachment in members:
        port = names.overlay_port(task_id, network.id)
        end = next(
            f"eth{place}"
            for place, each in enumerate(overlays(facts.sandboxes[task_id]))
            if each.network.id == network.id
        )
        links.append(
            Link(port, Kind.VETH, size, master=names.SANDBOX_BRIDGE, port=Port(), peer=(task_id, end))
        )
        statics.append((port, mac(attachment.endpoint.number)))
    digest = facts.digest(network.id)
    return Netns(
        links={link.name: link for link in links},
        statics=frozenset(statics),
        forwards=digest.forwards,
        neighbours=digest.neighbours,
        sysctls=quiet(facts.host),
    )


def quiet(host: Host) -> dict[str, str]:
    """Settings of the namespaces we make: no IPv6 chatter, and no firewall for bridged frames."""
    settings = {}
    if host.ipv6:
        settings["net/ipv6/conf/default/disable_ipv6"] = "1"
    if host.bridge_filter:
        for family in ("ip", "ip6", "arp"):
            settings[f"net/bridge/bridge-nf-call-{family}tables"] = "0"
    return settings
