"""Statements to bytecode.

The kernel's little machine has 16 registers of four bytes (8 to 23), which rules use as they need. An
expression that loads writes one (or four, with an IPv6 address), one that compares ends the rule if it does
not match, and a statement is one or more expressions in a row. The layout of each is its NFTA_*_ enumeration
in nf_tables.h.
"""

import socket
import struct
from functools import lru_cache
from ipaddress import ip_network
from typing import NamedTuple

from covey import limits

from ...firewall import (
    Accept,
    Balance,
    Count,
    Dispatch,
    Drop,
    Family,
    FromAddress,
    InLink,
    Jump,
    MarkBySender,
    Masquerade,
    NoteSender,
    OfConnection,
    OfFamily,
    OfSender,
    OutLink,
    OverTcp,
    OverUdp,
    Reject,
    RejectCode,
    Reset,
    SenderIn,
    SendToMark,
    SentTo,
    Statement,
    TakeMark,
    Target,
    ToAddress,
    ToPort,
    ToThisHost,
    Translated,
    Unmarked,
    Untrack,
    VniIn,
    family_of,
)
from ..wire import attribute, nested, packed_address, text, u8, u32_big

REGISTER = 8  # NFT_REG32_00
NEXT_REGISTER = 9
_AFTER_IPV6 = 12  # the first one behind an IPv6 address
VERDICT_REGISTER = 0

PROTOCOL_NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}

_EQUAL, _UNEQUAL = 0, 1
_LINK_HEADER, _NETWORK_HEADER, _TRANSPORT_HEADER = 0, 1, 2
_MAC_DESTINATION, _MAC_SOURCE, _MAC_NUMBER = 0, 6, 2  # a MAC address ends in its endpoint's number
_DESTINATION_PORT_OFFSET = 2
_VNI_OFFSET = 8 + 4  # after the UDP header and VXLAN's flags (RFC 7348, 5)
_LOOKUP_INVERTED = 1
_UPDATE = 1
_META_IIFNAME, _META_OIFNAME, _META_NFPROTO, _META_L4PROTO = 6, 7, 15, 16
_META_MARK = 3
_CT_MARK, _CT_PROTOCOL, _CT_PROTO_DST, _ORIGINAL = 3, 10, 12, 0
_CT_STATUS, _IPS_DST_NAT = 2, 1 << 5
_FIB_RESULT_ADDRTYPE, _FIB_DADDR, _RTN_LOCAL = 3, 2, 2
_NAT_DNAT = 1
_NF_DROP, _NF_ACCEPT, _NFT_JUMP = 0, 1, 0xFFFFFFFD
_REJECT_BY_ICMP, _REJECT_BY_RESET = 0, 1
_LINK_NAME_BYTES = 16


class _Layout(NamedTuple):
    """Where a family has its addresses: in its header, and in what is known of a connection."""

    number: int
    source: int
    destination: int
    bytes: int
    after: int  # the first register behind an address
    tracked: int  # NFT_CT_DST_IP, NFT_CT_DST_IP6


_LAYOUT = {
    Family.IPV4: _Layout(socket.AF_INET, 12, 16, 4, NEXT_REGISTER, 20),
    Family.IPV6: _Layout(socket.AF_INET6, 8, 24, 16, _AFTER_IPV6, 22),
}
_REJECT_CODES = {
    Family.IPV4: {code: int(code) for code in RejectCode},
    Family.IPV6: {RejectCode.HOST_UNREACHABLE: 3, RejectCode.PORT_UNREACHABLE: 4},  # RFC 4443, 3.1
}


def expression(name: str, *data: bytes) -> bytes:
    """One expression, as an element of a rule's list."""
    return nested(1, text(1, name), nested(2, *data))


def encode(statement: Statement, map_id: int, family: Family = Family.IPV4) -> bytes:
    """The expressions of one statement. `map_id` is the transaction's number for a `Balance`'s map."""
    match statement:
        case OfFamily(wanted):
            return _meta(_META_NFPROTO, REGISTER) + _compare(bytes((wanted,)))
        case FromAddress(cidr, negated):
            return _address(_LAYOUT[family_of(cidr)].source, cidr, negated)
        case ToAddress(cidr, negated):
            return _address(_LAYOUT[family_of(cidr)].destination, cidr, negated)
        case InLink(name, negated):
            return _meta(_META_IIFNAME, REGISTER) + _compare(_link_name(name), negated)
        case OutLink(name, negated):
            return _meta(_META_OIFNAME, REGISTER) + _compare(_link_name(name), negated)
        case ToPort(protocol, port):
            return (
                _meta(_META_L4PROTO, REGISTER)
                + _compare(bytes((PROTOCOL_NUMBERS[protocol],)))
                + _payload(_TRANSPORT_HEADER, _DESTINATION_PORT_OFFSET, 2, REGISTER)
                + _compare(struct.pack(">H", port))
            )
        case OverTcp():
            return _meta(_META_L4PROTO, REGISTER) + _compare(bytes((PROTOCOL_NUMBERS["tcp"],)))
        case OverUdp():
            return _meta(_META_L4PROTO, REGISTER) + _compare(bytes((PROTOCOL_NUMBERS["udp"],)))
        case SenderIn() | VniIn() | NoteSender() | Count():
            return _of_sender(statement, family)
        case SentTo() | Translated() | Unmarked() | MarkBySender() | TakeMark() | SendToMark() | Untrack():
            return _of_connection(statement, family)
        case Jump(chain):
            return _verdict(_NFT_JUMP, text(2, chain))
        case ToThisHost():
            loaded = (u32_big(1, REGISTER), u32_big(2, _FIB_RESULT_ADDRTYPE), u32_big(3, _FIB_DADDR))
            return expression("fib", *loaded) + _compare(struct.pack("=I", _RTN_LOCAL))
        case Reject(code):
            said = _REJECT_CODES[family][code]
            return expression("reject", u32_big(1, _REJECT_BY_ICMP), u8(2, said))
        case Reset():
            return expression("reject", u32_big(1, _REJECT_BY_RESET))
        case Masquerade():
            return expression("masq")
        case Drop():
            return _verdict(_NF_DROP)
        case Accept():
            return _verdict(_NF_ACCEPT)
        case Balance():
            return _balance(statement, map_id, _LAYOUT[family])
        case Dispatch():
            raise AssertionError("a Dispatch needs its map's kind: use `dispatch`")


def dispatch_by_address(name: str, family: Family = Family.IPV4) -> bytes:
    """Jump to what the map holds for the destination address."""
    layout = _LAYOUT[family]
    return _payload(_NETWORK_HEADER, layout.destination, layout.bytes, REGISTER) + _verdict_of(name)


def dispatch_by_port(name: str) -> bytes:
    """Jump to what the map holds for transport protocol and destination port."""
    return (
        _meta(_META_L4PROTO, REGISTER)
        + _payload(_TRANSPORT_HEADER, _DESTINATION_PORT_OFFSET, 2, NEXT_REGISTER)
        + _verdict_of(name)
    )


@lru_cache(maxsize=16_384)
def target(to: Target) -> bytes:
    """A target as a map's value: the address, and the port if it is to change."""
    packed = packed_address(to.address)
    return packed + struct.pack(">H", to.port) + b"\0\0" if to.port else packed


def _of_sender(statement: OfSender, family: Family) -> bytes:
    """What keeps strangers out: who sent a packet and for which network, in which sets those are, and how often."""
    match statement:
        case SenderIn(name, negated):
            inverted = u32_big(5, _LOOKUP_INVERTED if negated else 0)
            return _sender(family) + expression("lookup", text(1, name), u32_big(2, REGISTER), inverted)
        case VniIn(name):
            # without the byte after it, which receivers are to ignore
            number = _payload(_TRANSPORT_HEADER, _VNI_OFFSET, 3, REGISTER)
            return number + expression("lookup", text(1, name), u32_big(2, REGISTER))
        case NoteSender(name):
            until = attribute(6, struct.pack(">Q", int(limits.dropped_named_s * 1000)))
            noted = text(1, name), u32_big(3, _UPDATE), u32_big(4, REGISTER), until
            return _sender(family) + expression("dynset", *noted)
        case Count():
            return expression("counter", attribute(1, bytes(8)), attribute(2, bytes(8)))


def _sender(family: Family) -> bytes:
    layout = _LAYOUT[family]
    return _payload(_NETWORK_HEADER, layout.source, layout.bytes, REGISTER)


def _of_connection(statement: OfConnection, family: Family) -> bytes:
    """What the routing mesh needs: how a connection began, and the mark that leads its replies back."""
    match statement:
        case SentTo(protocol, port, address):
            return (
                _tracked(_CT_PROTOCOL, original=True)
                + _compare(bytes((PROTOCOL_NUMBERS[protocol],)))
                + _tracked(_CT_PROTO_DST, original=True)
                + _compare(struct.pack(">H", port))
                + (_sent_to(address, family) if address else b"")
            )
        case Translated(negated):
            status = struct.pack("=I", _IPS_DST_NAT)
            return (
                expression("ct", u32_big(1, REGISTER), u32_big(2, _CT_STATUS))
                + expression(
                    "bitwise",
                    u32_big(1, REGISTER),
                    u32_big(2, REGISTER),
                    u32_big(3, 4),
                    nested(4, attribute(1, status)),
                    nested(5, attribute(1, bytes(4))),
                )
                + _compare(bytes(4), negated=not negated)
            )
        case Unmarked():
            return _tracked(_CT_MARK) + _compare(bytes(4))
        case MarkBySender():
            number = _payload(_LINK_HEADER, _MAC_SOURCE + _MAC_NUMBER, 4, REGISTER)
            return number + expression("ct", u32_big(2, _CT_MARK), u32_big(4, REGISTER))
        case TakeMark():
            marked = _tracked(_CT_MARK) + _compare(bytes(4), negated=True)
            return marked + expression("meta", u32_big(2, _META_MARK), u32_big(3, REGISTER))
        case SendToMark():
            # `ct` cannot be asked for in this family, so the packet's own mark has it
            return _meta(_META_MARK, REGISTER) + _compare(bytes(4), negated=True) + _write_mac()
        case Untrack():
            return expression("notrack")


def _sent_to(address: str, family: Family) -> bytes:
    return _tracked(_LAYOUT[family].tracked, original=True) + _compare(packed_address(address))


def _tracked(key: int, *, original: bool = False) -> bytes:
    """Load what is known of the connection; `original` is the direction that a part of its address is of."""
    direction = (u8(3, _ORIGINAL),) if original else ()
    return expression("ct", u32_big(1, REGISTER), u32_big(2, key), *direction)


def _write_mac() -> bytes:
    """Write the register to the end of the frame's destination; no checksum has it."""
    where = u32_big(2, _LINK_HEADER), u32_big(3, _MAC_DESTINATION + _MAC_NUMBER), u32_big(4, 4)
    return expression("payload", u32_big(5, REGISTER), *where, u32_big(6, 0), u32_big(7, 0), u32_big(8, 0))


def _balance(balance: Balance, map_id: int, layout: _Layout) -> bytes:
    """Count connections modulo the number of targets, or hash the client; look the target up, translate."""
    targets = balance.targets
    port = (u32_big(5, layout.after),) if targets[0].port else ()
    if balance.by_client:
        hashed = (
            u32_big(1, REGISTER),
            u32_big(2, REGISTER),
            u32_big(3, layout.bytes),
            u32_big(4, len(targets)),
        )
        chosen = _payload(_NETWORK_HEADER, layout.source, layout.bytes, REGISTER)
        chosen += expression("hash", *hashed, u32_big(5, 0), u32_big(6, 0), u32_big(7, 0))
    else:
        counted = u32_big(1, REGISTER), u32_big(2, len(targets)), u32_big(3, 0), u32_big(4, 0)
        chosen = expression("numgen", *counted)
    return (
        chosen
        + expression(
            "lookup", text(1, "__map%d"), u32_big(2, REGISTER), u32_big(3, REGISTER), u32_big(4, map_id)
        )
        + expression("nat", u32_big(1, _NAT_DNAT), u32_big(2, layout.number), u32_big(3, REGISTER), *port)
    )


def _verdict(code: int, *chain: bytes) -> bytes:
    return expression(
        "immediate", u32_big(1, VERDICT_REGISTER), nested(2, nested(2, u32_big(1, code), *chain))
    )


def _verdict_of(name: str) -> bytes:
    return expression("lookup", text(1, name), u32_big(2, REGISTER), u32_big(3, VERDICT_REGISTER))


def _address(offset: int, cidr: str, negated: bool) -> bytes:
    net = ip_network(cidr)
    masked, size = b"", net.max_prefixlen // 8
    if net.prefixlen < net.max_prefixlen:
        masked = expression(
            "bitwise",
            u32_big(1, REGISTER),
            u32_big(2, REGISTER),
            u32_big(3, size),
            nested(4, attribute(1, net.netmask.packed)),
            nested(5, attribute(1, bytes(size))),
        )
    loaded = _payload(_NETWORK_HEADER, offset, size, REGISTER)
    return loaded + masked + _compare(net.network_address.packed, negated)


def _payload(base: int, offset: int, length: int, register: int) -> bytes:
    return expression(
        "payload", u32_big(1, register), u32_big(2, base), u32_big(3, offset), u32_big(4, length)
    )


def _meta(key: int, register: int) -> bytes:
    return expression("meta", u32_big(1, register), u32_big(2, key))


def _compare(value: bytes, negated: bool = False) -> bytes:
    how = _UNEQUAL if negated else _EQUAL
    return expression("cmp", u32_big(1, REGISTER), u32_big(2, how), nested(3, attribute(1, value)))


def _link_name(name: str) -> bytes:
    return name.encode().ljust(_LINK_NAME_BYTES, b"\0")
