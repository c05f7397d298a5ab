"""Framing: nf_tables messages, of the IPv4 family if none is named, and the brackets of a transaction."""

import struct

from ...firewall import Family
from ..wire import NLM_F_CREATE, NLM_F_REQUEST, Message

NEWTABLE = 0
GETTABLE = 1
DELTABLE = 2
NEWCHAIN = 3
GETCHAIN = 4
DELCHAIN = 5
NEWRULE = 6
GETRULE = 7
DELRULE = 8
NEWSET = 9
GETSET = 10
NEWSETELEM = 12
GETSETELEM = 13
DELSETELEM = 14

ANY_FAMILY = 0
FAMILY_NAMES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
BODY_OFFSET = 4  # struct nfgenmsg

_SUBSYSTEM = 10 << 8
_BATCH_BEGIN = 0x10
_BATCH_END = 0x11
_GENERIC = struct.Struct(">BBH")

BEGIN = Message(_BATCH_BEGIN, NLM_F_REQUEST, _GENERIC.pack(0, 0, 10))
END = Message(_BATCH_END, NLM_F_REQUEST, _GENERIC.pack(0, 0, 10))


def message(kind: int, body: bytes, flags: int = 0, family: int = Family.IPV4) -> Message:
    """One nf_tables message."""
    return Message(_SUBSYSTEM | kind, NLM_F_REQUEST | flags, _GENERIC.pack(family, 0, 0) + body)


def create(kind: int, body: bytes, flags: int = 0, family: int = Family.IPV4) -> Message:
    """One nf_tables message that makes something, or finds it there."""
    return message(kind, body, NLM_F_CREATE | flags, family)
