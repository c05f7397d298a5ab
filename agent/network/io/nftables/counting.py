"""What rules have counted, and whom they have noted."""

import socket
from collections import Counter
from dataclasses import dataclass

from ...desired.underlay import STRANGE, STRANGERS
from ...firewall import Family
from ...names import GATEWAY_TABLE, UNDERLAY_TABLE
from ..wire import Channel, attribute_list, attributes, string, text
from .messages import GETRULE, GETSETELEM
from .readback import listed


@dataclass(frozen=True, slots=True)
class Strangers:
    """How many packets of strangers were dropped since the table stands, and who sent some lately.

    `forged` are those that tasks here made themselves: there the sender's address means nothing.
    """

    packets: int = 0
    senders: tuple[str, ...] = ()
    forged: int = 0


def strangers(channel: Channel) -> Strangers:
    """What was dropped of VXLAN, and from whom; nothing if nothing keeps it out."""
    found = counted(channel, UNDERLAY_TABLE) + counted(channel, GATEWAY_TABLE)
    packets = found.pop(STRANGE, 0)
    forged = found.total()
    if not packets:
        return Strangers(forged=forged)
    asked = text(1, UNDERLAY_TABLE) + text(2, STRANGERS)
    senders = [
        attributes(attributes(element)[1])[1]
        for answer in listed(channel, GETSETELEM, asked)
        for _, element in attribute_list(answer.get(3, b""))
    ]
    return Strangers(packets, tuple(sorted(map(socket.inet_ntoa, senders))), forged)


def counted(channel: Channel, table: str, family: Family = Family.IPV4) -> Counter[str]:
    """How many packets the rules of a table have counted, by chain; nothing if there is none."""
    found = Counter[str]()
    for rule in listed(channel, GETRULE, text(1, table), family):
        if string(rule[1]) == table:
            found[string(rule[2])] += _packets(rule.get(4, b""))
    return found


def _packets(expressions: bytes) -> int:
    """The packets counted by a rule's counters."""
    found = 0
    for _, each in attribute_list(expressions):
        expression = attributes(each)
        if string(expression[1]) == "counter":
            found += int.from_bytes(attributes(expression[2])[2], "big")
    return found
