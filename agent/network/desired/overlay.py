"""The sandbox namespace of one overlay network: a bridge, the VXLAN device, a port per task here."""

from .. import names
from ..state import Kind, Link, Netns, Port, Vxlan
from .addressing import mac
from .facts import Facts, Host, has_ipv6, mtu, named, overlays, vtep


def uplink(*, ipv6: bool) -> Port:
    """The VXLAN device's port. What no port is known for can only be on another node, and IPv6 asks for neighbours
    by multicast, which the device answers; nothing else that is flooded goes any further.
    """
    return Port(flood=True, multicast_flood=ipv6)


def task_port(*, ipv6: bool, isolated: bool = False) -> Port:
    """The port that a task is behind."""
    return Port(multicast_flood=ipv6, isolated=isolated)


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
    network = facts.newest(members[0][1].network)
    size, ipv6 = mtu(network, facts.host), has_ipv6(network, facts.host)
    links = [
        Link("lo", Kind.LOOPBACK),
        Link(names.SANDBOX_BRIDGE, Kind.BRIDGE, size),
    ]
    local, bridge, up = vtep(network, facts.host), names.SANDBOX_BRIDGE, uplink(ipv6=ipv6)
    if local:  # else it is encrypted, and this host no longer can: no way out is better than a plain one
        vxlan = Vxlan(network.vni, local, facts.host.vxlan_port)
        links.append(Link(names.SANDBOX_VXLAN, Kind.VXLAN, size, master=bridge, port=up, vxlan=vxlan))
    statics = []
    for task_id, attachment in members:
        port = names.overlay_port(task_id, network.id)
        end = next(
            f"eth{place}"
            for place, each in enumerate(named(facts.sandboxes[task_id]))
            if each.network.id == network.id
        )
        there = task_port(ipv6=ipv6)
        links.append(
            Link(port, Kind.VETH, size, master=names.SANDBOX_BRIDGE, port=there, peer=(task_id, end))
        )
        statics.append((port, mac(attachment.endpoint.number)))
    digest = facts.digest(network.id)
    return Netns(
        links={link.name: link for link in links},
        statics=frozenset(statics),
        forwards=digest.forwards if local else {},
        neighbours=digest.neighbours if local else {},
        sysctls=quiet(facts.host) | (answering(names.SANDBOX_VXLAN) if ipv6 and local else {}),
    )


def answering(vxlan: str) -> dict[str, str]:
    """Settings of a VXLAN device that answers for IPv6 neighbours: it knows them only if it has IPv6 itself, but then
    needs no address of its own.
    """
    return {f"net/ipv6/conf/{vxlan}/addr_gen_mode": "1", f"net/ipv6/conf/{vxlan}/disable_ipv6": "0"}


def quiet(host: Host, *, ipv6: bool = False) -> dict[str, str]:
    """Settings of the namespaces we make: IPv6 only for who has it, and no firewall for bridged frames.

    A bridge needs no IPv6 of its own to carry that of others. Who has it gets its addresses from us alone: it heeds
    no routers, and looks for no duplicates.
    """
    settings = {}
    if host.ipv6:
        settings["net/ipv6/conf/default/disable_ipv6"] = "0" if ipv6 else "1"
    if host.ipv6 and ipv6:
        settings |= {
            f"net/ipv6/conf/default/{name}": "0" for name in ("accept_ra", "accept_redirects", "accept_dad")
        }
        settings["net/ipv6/conf/lo/disable_ipv6"] = "0"  # new namespaces may inherit what the host's has
    if host.bridge_filter:
        for family in ("ip", "ip6", "arp"):
            settings[f"net/bridge/bridge-nf-call-{family}tables"] = "0"
    return settings
