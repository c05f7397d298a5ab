"""Connection tracking: list a namespace's flows, and forget the stale ones.

Raw ctnetlink (linux/netfilter/nfnetlink_conntrack.h): an entry is deleted by repeating its original tuple and its
id as the kernel wrote them; by the tuple alone it could be another one that came since. Listing walks a
table that all namespaces share: 9 ms where it has 262,144 buckets, however few flows there are.
"""

import errno
import logging
import socket
from collections.abc import Callable

from ..firewall import family_of
from ..sweep import Flow, Sweep
from .places import Places
from .wire import NLM_F_ACK, NLM_F_REQUEST, Channel, Message, attribute, attributes, nested

_log = logging.getLogger(__name__)

_SUBSYSTEM = 1 << 8
_GET, _DELETE, _GET_STATS = 1, 2, 5
_STATS_ENTRIES = 1
_BODY = bytes((socket.AF_UNSPEC, 0, 0, 0))  # one walk shows both families
_TUPLE_ORIGINAL, _TUPLE_REPLY = 1, 2
_PROTOCOL_STATE, _ID = 4, 12
_PROTOCOL_TCP, _TCP_STATE = 1, 1
_TIME_WAIT, _CLOSE = 7, 8
_TUPLE_IP = 1
_SOURCE: dict[int, int] = {socket.AF_INET: 1, socket.AF_INET6: 3}
_DESTINATION: dict[int, int] = {socket.AF_INET: 2, socket.AF_INET6: 4}


def flows(channel: Channel) -> list[Flow]:
    """Every tracked flow of the channel's namespace."""
    found = []
    for _, body in channel.dump(Message(_SUBSYSTEM | _GET, 0, _BODY)):
        family, entry = body[0], attributes(body[len(_BODY) :])
        if family not in _SOURCE:
            continue
        sent = attributes(attributes(entry[_TUPLE_ORIGINAL])[_TUPLE_IP])
        answer = attributes(attributes(entry[_TUPLE_REPLY])[_TUPLE_IP])
        found.append(
            Flow(
                socket.inet_ntop(family, sent[_DESTINATION[family]]),
                socket.inet_ntop(family, answer[_SOURCE[family]]),
                entry[_TUPLE_ORIGINAL],
                entry.get(_ID, b""),
                _tcp_state(entry) in (_TIME_WAIT, _CLOSE),
            )
        )
    return found


def _tcp_state(entry: dict[int, bytes]) -> int | None:
    """How far a TCP connection has come; None for other protocols."""
    tcp = attributes(attributes(entry.get(_PROTOCOL_STATE, b"")).get(_PROTOCOL_TCP, b""))
    return tcp[_TCP_STATE][0] if _TCP_STATE in tcp else None


def count(channel: Channel) -> int:
    """How many flows the namespace has; without walking the table, which all namespaces share."""
    answer = channel.ask(Message(_SUBSYSTEM | _GET_STATS, 0, _BODY))
    return int.from_bytes(attributes(answer[len(_BODY) :]).get(_STATS_ENTRIES, b""), "big")


def forget(channel: Channel, stale: Callable[[Flow], bool]) -> int:
    """Forget the flows that are `stale`; return how many there were."""
    if not count(channel):
        return 0
    gone = [flow for flow in flows(channel) if stale(flow)]
    failures = channel.batch(
        [
            Message(
                _SUBSYSTEM | _DELETE,
                NLM_F_REQUEST | NLM_F_ACK,
                bytes((family_of(flow.destination), 0, 0, 0))
                + nested(_TUPLE_ORIGINAL, flow.original)
                + attribute(_ID, flow.id),
            )
            for flow in gone
        ]
    )
    for failure in failures:
        if failure.number != errno.ENOENT:  # it ended by itself
            raise OSError(failure.number, str(failure))
    return len(gone)


def sweep(places: Places, each: Sweep) -> None:
    """Forget what is stale in one namespace, and say so; that it cannot be done is said, too."""
    where = each.netns or "the node"
    try:
        gone = forget(places.filtering(each.netns), each.stale)
    except OSError as error:
        _log.error("connections of %s to endpoints that are gone stay: %s", where, error)
        return
    if gone:
        _log.info("%s forgot %d connections to endpoints that are gone", where, gone)
