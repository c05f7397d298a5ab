"""The guard in nf_tables: a table of the family that sees IPv4 and IPv6, put in place in one transaction."""

import errno
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Network

from agent.network.firewall import Hook
from agent.network.io.nftables.expressions import expression
from agent.network.io.nftables.messages import (
    BEGIN,
    BODY_OFFSET,
    DELTABLE,
    END,
    GETCHAIN,
    GETRULE,
    NEWCHAIN,
    NEWRULE,
    NEWTABLE,
    create,
    message,
)
from agent.network.io.wire import (
    NETLINK_NETFILTER,
    NLM_F_APPEND,
    Channel,
    Message,
    attribute,
    attribute_list,
    attributes,
    nested,
    string,
    text,
    u32_big,
)

from .. import names
from ..guard import PASSING, Accepted, Dropped, Drops, Rule, chains, digest
from ..state import Guard
from .wireguard import TunnelFault

_INET = 1
_EARLY = -310
_HOOKS = {"incoming": Hook.INPUT, "outgoing": Hook.POSTROUTING, PASSING: Hook.FORWARD}
_REGISTER, _VERDICT = 8, 0
_META_IIFNAME, _META_OIFNAME, _META_NFPROTO, _META_L4PROTO = 6, 7, 15, 16
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_NFPROTO = {4: 2, 6: 10}
_ADDRESS_OFFSET = {"source": 8, "destination": 24}  # in an IPv6 header
_PORT_OFFSET, _VNI_OFFSET = 2, 8 + 4  # after the start of UDP's header
_UDP = 17
_DROP, _ACCEPT = 0, 1
_COUNTER_PACKETS = 2


def put(guard: Guard) -> None:
    """Put the guard in place of whatever stands of it."""
    name = text(1, names.GUARD_TABLE)
    steps = [
        create(NEWTABLE, name, family=_INET),  # so that there is one to remove
        message(DELTABLE, name, family=_INET),
        create(NEWTABLE, name, family=_INET),
        *(each for name, rules in chains(guard).items() for each in _chain(name, rules, digest(guard))),
    ]
    with Channel(NETLINK_NETFILTER) as channel:
        failures = channel.transaction(BEGIN, steps, END)
    for failure in failures:
        raise TunnelFault(f"the kernel denies the firewall table {names.GUARD_TABLE}: {failure}")


def remove() -> None:
    """Take the guard away; fine if there is none."""
    with Channel(NETLINK_NETFILTER) as channel:
        failures = channel.transaction(
            BEGIN, [message(DELTABLE, text(1, names.GUARD_TABLE), family=_INET)], END
        )
    for failure in failures:
        if failure.number != errno.ENOENT:
            raise TunnelFault(f"the firewall table {names.GUARD_TABLE} cannot be removed: {failure}")


def read(guard: Guard) -> tuple[str, Drops]:
    """Read the guard back: its digest if it is whole, "changed" if not, "" if there is none; and what it dropped."""
    with Channel(NETLINK_NETFILTER) as channel:
        standing = {string(each[3]) for each in _list(channel, GETCHAIN)}
        comments, packets = list[str](), Counter[bool]()
        for rule in _list(channel, GETRULE):
            comments.append(_comment(rule.get(7, b"")))
            packets[string(rule[2]) == PASSING] += _counted(rule.get(4, b""))
    if not standing:
        return "", Drops()
    wanted_chains = chains(guard)
    said = {each.split()[1] for each in comments if len(each.split()) == 3}
    wanted = [
        f"covey {own} {chain}{place}"
        for own in said
        for chain, rules in wanted_chains.items()
        for place, _ in enumerate(rules)
    ]
    whole = len(said) == 1 and comments == wanted and standing == set(wanted_chains)
    return (said.pop() if whole else "changed"), Drops(packets[False], packets[True])


def _chain(name: str, rules: Sequence[Rule], said: str) -> Iterator[Message]:
    table = text(1, names.GUARD_TABLE)
    hooked = nested(4, u32_big(1, _HOOKS[name]), u32_big(2, _EARLY))
    yield create(NEWCHAIN, table + text(3, name) + hooked + text(7, "filter"), family=_INET)
    device = _META_IIFNAME if name == "incoming" else _META_OIFNAME
    for place, rule in enumerate(rules):
        comment = f"covey {said} {name}{place}".encode() + b"\0"
        body = nested(4, *_expressions(rule, device)) + attribute(7, bytes((0, len(comment))) + comment)
        yield create(NEWRULE, table + text(2, name) + body, NLM_F_APPEND, _INET)


def _expressions(rule: Rule, device: int) -> Iterator[bytes]:
    if isinstance(rule, Accepted):
        yield _meta(device) + _compare(rule.device.encode().ljust(16, b"\0"))
        yield _verdict(_ACCEPT)
        return
    yield _meta(_META_NFPROTO) + _compare(bytes((_NFPROTO[rule.family],)))
    yield from _matches(rule)
    yield expression("counter")
    yield _verdict(_DROP)


def _matches(rule: Dropped) -> Iterator[bytes]:
    if rule.prefix:
        prefix = IPv6Network(rule.prefix)
        length = prefix.prefixlen // 8
        yield _payload(_NETWORK_HEADER, _ADDRESS_OFFSET[rule.end], length)
        yield _compare(prefix.network_address.packed[:length])
    if rule.port:
        yield _meta(_META_L4PROTO) + _compare(bytes((_UDP,)))
        yield _payload(_TRANSPORT_HEADER, _PORT_OFFSET, 2) + _compare(struct.pack(">H", rule.port))
    if rule.vni:
        yield _payload(_TRANSPORT_HEADER, _VNI_OFFSET, 3) + _compare(rule.vni.to_bytes(3, "big"))


def _meta(key: int) -> bytes:
    return expression("meta", u32_big(1, _REGISTER), u32_big(2, key))


def _payload(base: int, offset: int, length: int) -> bytes:
    return expression(
        "payload", u32_big(1, _REGISTER), u32_big(2, base), u32_big(3, offset), u32_big(4, length)
    )


def _compare(value: bytes) -> bytes:
    return expression("cmp", u32_big(1, _REGISTER), u32_big(2, 0), nested(3, attribute(1, value)))


def _verdict(code: int) -> bytes:
    return expression("immediate", u32_big(1, _VERDICT), nested(2, nested(2, u32_big(1, code))))


def _list(channel: Channel, kind: int) -> list[dict[int, bytes]]:
    asked = text(1, names.GUARD_TABLE) if kind == GETRULE else b""
    try:
        entries = channel.dump(message(kind, asked, family=_INET))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return []
        raise
    found = [attributes(body[BODY_OFFSET:]) for _, body in entries]
    return [each for each in found if string(each[1]) == names.GUARD_TABLE]


def _comment(userdata: bytes) -> str:
    return string(userdata[2:]) if userdata[:1] == b"\0" else ""


def _counted(expressions: bytes) -> int:
    for _, each in attribute_list(expressions):
        found = attributes(each)
        if string(found.get(1, b"")) == "counter":
            return int.from_bytes(attributes(found[2])[_COUNTER_PACKETS], "big")
    return 0
