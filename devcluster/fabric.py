"""The switch between the members of a dev cluster: a bridge in a namespace of its own, with a filter.

All members share one kernel, so nothing but this filter keeps a program from reaching another node in a
way no data centre would allow. It passes ARP and neighbour discovery, ICMP, what Covey's own ports need,
what services publish, and the registry. All else is dropped, in silence, as a firewall does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from covey import limits
from covey.errors import InvalidArgument
from covey.io import netns

from . import namespaces
from .place import (
    FABRIC,
    REGISTRY,
    Place,
    address_of,
    fabric_prefix_length,
    fabric_prefix_length_ipv6,
    ipv6_of,
    registry_port,
)

default_publish = ("80", "443", "8000-9999", f"{limits.published_port_first}-{limits.published_port_last}")
_port_last = 65_535
_ipv6 = Path("/proc/sys/net/ipv6")  # not where the kernel was told to do without


def port_range(text: str) -> str:
    """`text` if it is a port or a range of ports, as nftables writes them.

    Raises InvalidArgument that says what is wrong with it.
    """
    first, dash, last = text.partition("-")
    numbers = [first, last] if dash else [first]
    if not all(
        number.isascii() and number.isdigit() and 1 <= int(number) <= _port_last for number in numbers
    ):
        raise InvalidArgument(f"'{text}' is no port range: write 8080 or 8000-9999, within 1-{_port_last}")
    if dash and int(first) > int(last):
        raise InvalidArgument(f"'{text}' is no port range: it ends before it begins")
    return text


def filter_rules(publish: Iterable[str]) -> str:
    """The filter, in nft's language.

    There is no connection tracking on bridges everywhere, so answers are told from requests by their flags:
    a packet *from* a permitted port may not open a connection.
    """
    published = ", ".join(publish)
    control = f"{limits.control_port}, {limits.bootstrap_port}"
    registry = address_of(REGISTRY)
    answer = "tcp flags & (syn | ack) != syn"
    return f"""
table bridge covey_dev {{
    set severed {{ type ipv4_addr . ipv4_addr; }}
    set severed6 {{ type ipv6_addr . ipv6_addr; }}
    set published {{ type inet_service; flags interval; auto-merge; elements = {{ {published} }}; }}
    chain forward {{
        type filter hook forward priority 0; policy drop;
        ether type arp accept
        icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
        ip saddr . ip daddr @severed drop
        ip6 saddr . ip6 daddr @severed6 drop
        meta l4proto {{ icmp, ipv6-icmp }} accept
        udp dport {{ {limits.vxlan_port}, {limits.tunnel_port}, {limits.tunnel_port + 1} }} accept
        tcp dport {{ {control} }} accept
        tcp sport {{ {control} }} {answer} accept
        ip daddr {registry} tcp dport {registry_port} accept
        ip saddr {registry} tcp sport {registry_port} {answer} accept
        tcp dport @published accept
        tcp sport @published {answer} accept
        udp dport @published accept
        udp sport @published accept
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Fabric:
    """One cluster's switch and the cables to it."""

    place: Place

    def build(self, publish: Iterable[str]) -> None:
        """Make the switch, passing the ports of `publish` beside Covey's own.

        The filter comes after the bridge: the kernel (6.18) runs no filter that is older than its
        namespace's first bridge. It comes before the first cable, so nothing slips through meanwhile.
        """
        namespaces.create(self.place.netns(FABRIC))
        self._ip("link add br0 type bridge", "link set br0 up")
        self._nft(filter_rules(publish))

    def exists(self) -> bool:
        """Whether the switch is there."""
        return netns.exists(self.place.netns(FABRIC))

    def plug(self, member: str) -> None:
        """Make a member's network: a new namespace, with a cable to the switch and its address."""
        self.unplug(member)
        path = self.place.netns(member)
        namespaces.create(path)
        port = _port(member)
        self._ip(
            f"link add {port} type veth peer name eth0 address {_hardware_address(member)} netns {path}",
            f"link set {port} master br0",
            f"link set {port} up",
        )
        address = f"{address_of(member)}/{fabric_prefix_length}"
        lines = [f"addr add {address} dev eth0", "link set eth0 up"]
        if _ipv6.exists():
            lines.insert(1, f"addr add {ipv6_of(member)}/{fabric_prefix_length_ipv6} dev eth0 nodad")
        _batch(self.place, member, lines)

    def unplug(self, member: str) -> None:
        """Take away a member's cable and namespace; fine where there are none.

        The cable goes by name: the kernel takes a namespace apart later, and its cable with it.
        """
        if self.exists() and _port(member) in self._ports():
            self._ip(f"link del {_port(member)}")
        netns.delete(self.place.netns(member))

    def cut(self, member: str) -> None:
        """Take the member's link down at the switch; fine where there is none."""
        if self.exists() and _port(member) in self._ports():
            self._ip(f"link set {_port(member)} down")

    def heal(self, member: str) -> None:
        """Take the member's link up again."""
        self._ip(f"link set {_port(member)} up")

    def sever(self, sender: str, receiver: str) -> None:
        """Drop all that `sender` sends to `receiver`; the way back stays open."""
        pair = f"{address_of(sender)} . {address_of(receiver)}"
        pair6 = f"{ipv6_of(sender)} . {ipv6_of(receiver)}"
        self._nft(
            f"add element bridge covey_dev severed {{ {pair} }}\n"
            f"add element bridge covey_dev severed6 {{ {pair6} }}"
        )

    def mend(self) -> None:
        """Pass again what `sever` dropped, between all members."""
        self._nft("flush set bridge covey_dev severed\nflush set bridge covey_dev severed6")

    def is_cut(self, member: str) -> bool:
        """Whether the member's link is down."""
        return "UP" not in self._ports().get(_port(member), "UP")

    def _ports(self) -> dict[str, str]:
        """The switch's ports, each with its flags."""
        shown = namespaces.run(self.place.netns(FABRIC), ["ip", "-oneline", "link", "show", "type", "veth"])
        ports = {}
        for line in shown.splitlines():
            _, name, rest = line.split(": ", 2)
            flags = rest[rest.index("<") + 1 : rest.index(">")]
            ports[name.partition("@")[0]] = " ".join(flag for flag in flags.split(",") if flag == "UP")
        return ports

    def _ip(self, *lines: str) -> None:
        _batch(self.place, FABRIC, lines)

    def _nft(self, rules: str) -> None:
        namespaces.run(self.place.netns(FABRIC), ["nft", "-f", "-"], given=rules)


def _batch(place: Place, member: str, lines: Iterable[str]) -> None:
    namespaces.run(place.netns(member), ["ip", "-batch", "-"], given="\n".join(lines) + "\n")


def _hardware_address(member: str) -> str:
    """The same one at each boot, as a host's is: its neighbours remember it."""
    return "52:54:" + ":".join(f"{int(part):02x}" for part in address_of(member).split("."))


def _port(member: str) -> str:
    """The switch's port to a member. The fabric's namespace is the cluster's own: names need no more."""
    return f"to-{member}"
