"""What matters of the host."""

from dataclasses import dataclass

from covey import limits

from ..firewall import Family


@dataclass(frozen=True, slots=True)
class Host:
    """What matters of the host: its VTEP address, the MTU below, and what its kernel was built with.

    `advertised` are links that learn their IPv6 routes from routers, which a host that forwards does only if told.
    `filtered` are the families of which its firewall looks at what bridges pass on (br_netfilter).
    `interfaces` are those that macvlan networks could go by. `tunnel` is its VTEP address on encrypted networks, ""
    if it cannot encrypt.
    """

    node_id: str
    vtep: str
    mtu: int
    vxlan_port: int = limits.vxlan_port
    ipv6: bool = True
    bridge_filter: bool = False
    keeps_client_address: bool = False
    advertised: tuple[str, ...] = ()
    interfaces: frozenset[str] = frozenset()
    tunnel: str = ""
    filtered: frozenset[Family] = frozenset()
