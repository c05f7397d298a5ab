"""nftables rules as data: tables of chains of statements, and the digest by which they are recognised.

Rules cannot be read back as they were meant: the kernel keeps bytecode. So every rule carries a comment,
`covey <digest> <place>/<count>`, with a digest of its whole chain; a chain is as it should be when all its
rules are there and say the right digest. Elements of named maps are read back as they are.

Statements are whole thoughts ("send to one of these"), which `io/nftables` turns into expressions.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import cached_property
from hashlib import blake2b

from .lineage import Derived

ENCODING = 1  # raise when the encoder makes other bytecode of the same statements


class Family(IntEnum):
    """Which packets a table sees: IPv4's, IPv6's, both, or all that one link sends (NFPROTO_*)."""

    INET = 1
    IPV4 = 2
    LINK = 5
    IPV6 = 10


FAMILIES = (Family.IPV4, Family.IPV6)
"""Those of addresses."""


def family_of(address: str) -> Family:
    """The family of an address, or of a subnet."""
    return Family.IPV6 if ":" in address else Family.IPV4


class Hook(IntEnum):
    """Where in a packet's way a chain is called (NF_INET_*; `EGRESS` is of the family `LINK`)."""

    PREROUTING = 0
    EGRESS = 1
    INPUT = 1  # of the other families, whose numbers are their own
    FORWARD = 2
    OUTPUT = 3
    POSTROUTING = 4


class KeyKind(StrEnum):
    """What a map is asked: an address, or transport protocol and destination port, or a VXLAN packet's VNI."""

    ADDRESS = "address"
    PORT = "port"
    VNI = "vni"


@dataclass(frozen=True, slots=True)
class OfFamily:
    """Match packets of IPv4, or of IPv6. A rule on addresses begins with it where a table sees both (`INET`)."""

    family: Family


@dataclass(frozen=True, slots=True)
class FromAddress:
    """Match packets whose source is in `cidr` (or, negated, is not)."""

    cidr: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class ToAddress:
    """Match packets whose destination is in `cidr` (or, negated, is not)."""

    cidr: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class InLink:
    """Match packets that came in by the link of this name."""

    name: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class OutLink:
    """Match packets that leave by the link of this name."""

    name: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class ToPort:
    """Match a transport protocol (`tcp`, `udp`) and destination port."""

    protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class OverTcp:
    """Match TCP, to whatever port."""


@dataclass(frozen=True, slots=True)
class ToThisHost:
    """Match packets addressed to any local address of the namespace (`fib daddr type local`)."""


@dataclass(frozen=True, slots=True)
class SentTo:
    """Match packets of connections that were first sent to this port, and to this address if one is given."""

    protocol: str
    port: int
    address: str = ""


@dataclass(frozen=True, slots=True)
class OverUdp:
    """Match UDP, to whatever port."""


@dataclass(frozen=True, slots=True)
class Unmarked:
    """Match packets of connections that bear no mark."""


@dataclass(frozen=True, slots=True)
class MarkBySender:
    """Mark the connection with the number of the endpoint that sent this frame: bytes 2 to 5 of its MAC address."""


@dataclass(frozen=True, slots=True)
class TakeMark:
    """Mark the packet as its connection is, if that is: in a chain of kind `route` it is then routed anew."""


@dataclass(frozen=True, slots=True)
class SendToMark:
    """Send a frame whose packet is marked to the endpoint of that number: it becomes bytes 2 to 5 of the MAC."""


@dataclass(frozen=True, slots=True)
class Translated:
    """Match packets of connections whose destination was changed by one of these tables (or was not)."""

    negated: bool = False


@dataclass(frozen=True, slots=True)
class SenderIn:
    """Match packets whose source address is in the named set (or, negated, is not)."""

    set: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class VniIn:
    """Match VXLAN packets, of which one knows already that they are, whose VNI is in the named set."""

    set: str


@dataclass(frozen=True, slots=True)
class NoteSender:
    """Put the source address into the named set of those seen lately; goes no further if that is full."""

    set: str


@dataclass(frozen=True, slots=True)
class Count:
    """Count the packet: `io.nftables.counting` reads how many there were."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Jump to the chain that the named map holds for the packet, if any."""

    map: str


@dataclass(frozen=True, slots=True)
class Jump:
    """Go through another chain, and come back if that decided nothing."""

    chain: str


@dataclass(frozen=True, slots=True)
class Target:
    """Where a connection is sent; port 0 leaves the port as it is."""

    address: str
    port: int = 0


@dataclass(frozen=True, slots=True)
class Balance:
    """Send each new connection to the next of `targets` in turn, beginning with number `start`.

    The counter belongs to the rule and starts with it; different namespaces begin at different places, or
    a hundred clients with one connection each would all meet the same backend. With `by_client` it is the
    client's address that chooses, everywhere alike.
    """

    targets: tuple[Target, ...]
    start: int = 0
    by_client: bool = False


@dataclass(frozen=True, slots=True)
class Masquerade:
    """Give the packet the address of the link it leaves by."""


class RejectCode(IntEnum):
    """What the sender is told (ICMP destination unreachable codes; those of ICMPv6 follow from them)."""

    HOST_UNREACHABLE = 1
    PORT_UNREACHABLE = 3


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse the packet and say so."""

    code: RejectCode


@dataclass(frozen=True, slots=True)
class Reset:
    """Refuse a TCP connection by a reset: everybody hears at once, where the kernel sends ICMP now and then only
    (icmp_ratelimit), and who connects takes that for no last word (RFC 1122, 4.2.3.9)."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Drop the packet in silence."""


@dataclass(frozen=True, slots=True)
class Untrack:
    """Have the kernel note no connection for the packet; before it is tracked only."""


@dataclass(frozen=True, slots=True)
class Accept:
    """Let the packet pass this chain."""


OfPacket = OfFamily | FromAddress | ToAddress | InLink | OutLink | ToPort | OverTcp | OverUdp | ToThisHost
OfSender = SenderIn | VniIn | NoteSender | Count
OfConnection = SentTo | Translated | Unmarked | MarkBySender | TakeMark | SendToMark | Untrack
Verdict = Dispatch | Jump | Balance | Masquerade | Reject | Reset | Drop | Accept
Statement = OfPacket | OfSender | OfConnection | Verdict
Rule = tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Base:
    """What makes a chain a base chain: `kind` is `filter`, `nat` or `route`; lower priorities come first.

    `link` is whose frames it sees, in the family `LINK`.
    """

    kind: str
    hook: Hook
    priority: int
    link: str = ""


@dataclass(frozen=True)
class Chain:
    """A chain: with a `base` the kernel calls it, without one a rule jumps to it. Never without rules."""

    name: str
    rules: tuple[Rule, ...]
    base: Base | None = None

    def __post_init__(self) -> None:
        assert self.rules, f"chain {self.name} has no rule to carry its digest"

    @cached_property
    def digest(self) -> str:
        """What the chain's rules say of it when read back. A base chain's begins with `base-`."""
        rules = [[_said(statement) for statement in rule] for rule in self.rules]
        said = repr((ENCODING, self.base, rules)).encode()
        return ("base-" if self.base else "") + blake2b(said, digest_size=8).hexdigest()


def _said(statement: Statement) -> str:
    """A statement as text; the long one by hand, for a digest is made for every namespace."""
    if isinstance(statement, Balance):
        how = "by client" if statement.by_client else statement.start
        return f"{how} {','.join([f'{to.address}:{to.port}' for to in statement.targets])}"
    return repr(statement)


class Digests(Mapping[str, str]):
    """The digests of a table's chains by name, each worked out once it is asked for."""

    def __init__(self, few: Mapping[str, Chain], many: Mapping[str, Chain]) -> None:
        self.few, self.many = few, many

    def __getitem__(self, name: str) -> str:
        """The digest of the chain `name`."""
        chain = self.few.get(name)
        return (self.many[name] if chain is None else chain).digest

    def __iter__(self) -> Iterator[str]:
        """The names, those of the few first."""
        yield from self.few
        yield from self.many

    def __len__(self) -> int:
        """How many chains there are."""
        return len(self.few) + len(self.many)

    def since(self, other: object) -> Collection[str] | None:
        """The chains in which this may differ from `other`, if the lineage of the many is known."""
        if not isinstance(other, Digests) or not isinstance(self.many, Derived):
            return None
        known = self.many.since(other.many)
        return None if known is None else {*known, *self.few, *other.few}


@dataclass(frozen=True, slots=True)
class TableView:
    """What can be read back of a table: each chain's digest ("" if it is not ours), each map's elements."""

    chains: Mapping[str, str]
    maps: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class VerdictMap:
    """A named map from packets' keys to chains. Keys read `10.0.0.2` or `fd00::2`, `tcp 8080` for ports, `5001`
    for VNIs.

    Without `verdicts` it is a set: every key has "".
    """

    name: str
    kind: KeyKind
    elements: Mapping[str, str]
    verdicts: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """A table: the unit that one part of Covey owns. No two have the same name, whatever their family.

    `many` are chains by name that rules or maps lead to, of which there may be thousands: they are best `Derived`.
    `noted` are the sets that packets themselves fill (`NoteSender`): what is in them is nobody's wish.
    """

    name: str
    chains: tuple[Chain, ...]
    maps: tuple[VerdictMap, ...] = ()
    family: Family = Family.IPV4
    noted: tuple[str, ...] = ()
    many: Mapping[str, Chain] = field(default_factory=dict[str, Chain])

    def view(self) -> TableView:
        """What will be read back once the table stands."""
        few = {chain.name: chain for chain in self.chains}
        return TableView(Digests(few, self.many), {each.name: each.elements for each in self.maps})

    def every(self) -> Iterator[Chain]:
        """All chains."""
        yield from self.chains
        yield from self.many.values()

    def chain(self, name: str) -> Chain:
        """The chain of this name; raises KeyError if there is none."""
        if name in self.many:
            return self.many[name]
        for chain in self.chains:
            if chain.name == name:
                return chain
        raise KeyError(name)
