"""What rules have counted, and whom they have noted."""

import socket
from dataclasses import dataclass

from ...desired.underlay import STRANGERS
from ...names import UNDERLAY_TABLE
from ..wire import Channel, attribute_list, attributes, string, text
from .messages import GETRULE, GETSETELEM
from .readback import listed


@dataclass(frozen=True, slots=True)
class Strangers:
    """How many packets of strangers were dropped since the table stands, and who sent some lately."""

    packets: int = 0
    senders: tuple[str, ...] = ()


def strangers(channel: Channel) -> Strangers:
    """What the underlay's table has dropped, and from whom; nothing if there is none."""
    rules = listed(channel, GETRULE, text(1, UNDERLAY_TABLE))
    packets = sum(_counted(rule.get(4, b"")) for rule in rules if string(rule[1]) == UNDERLAY_TABLE)
    if not packets:
        return Strangers()
    asked = text(1, UNDERLAY_TABLE) + text(2, STRANGERS)
    senders = [
        attributes(attributes(element)[1])[1]
        for answer in listed(channel, GETSETELEM, asked)
        for _, element in attribute_list(answer.get(3, b""))
    ]
    return Strangers(packets, tuple(sorted(map(socket.inet_ntoa, senders))))


def _counted(expressions: bytes) -> int:
    """The packets counted by a rule's counters."""
    found = 0
    for _, each in attribute_list(expressions):
        expression = attributes(each)
        if string(expression[1]) == "counter":
            found += int.from_bytes(attributes(expression[2])[2], "big")
    return found
