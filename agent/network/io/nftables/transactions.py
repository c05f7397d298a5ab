"""Operations on tables to the messages of one transaction, which the kernel takes whole or not at all."""

import struct
from collections.abc import Iterator, Mapping
from itertools import count

from covey import limits

from ... import names
from ...firewall import Balance, Chain, Dispatch, Family, KeyKind, Rule, Table, VerdictMap
from ...ops import EditTable, RemoveTable, ReplaceTable
from ..wire import (
    NLM_F_APPEND,
    Channel,
    Failure,
    Message,
    address_text,
    attribute,
    nested,
    packed_address,
    text,
    u32_big,
)
from .expressions import (
    PROTOCOL_NUMBERS,
    dispatch_by_address,
    dispatch_by_port,
    encode,
    target,
)
from .messages import (
    BEGIN,
    DELCHAIN,
    DELRULE,
    DELSETELEM,
    DELTABLE,
    END,
    NEWCHAIN,
    NEWRULE,
    NEWSET,
    NEWSETELEM,
    NEWTABLE,
    create,
    message,
)

SET_ANONYMOUS, SET_CONSTANT, SET_MAP, SET_TIMEOUT, SET_EVAL = 1, 2, 8, 0x10, 0x20
JUMP = -3
COMMENT = "covey"

_DATA_VERDICT = 0xFFFFFF00
_TYPE_ADDRESS = {Family.IPV4: 7, Family.IPV6: 8}  # for `nft list`; the kernel only keeps these numbers
_TYPE_INTEGER, _TYPE_PROTOCOL, _TYPE_PORT = 4, 12, 13
_ADDRESS_BYTES = {Family.IPV4: 4, Family.IPV6: 16}
_KEYS = {KeyKind.PORT: (_TYPE_PROTOCOL << 6 | _TYPE_PORT, 8), KeyKind.VNI: (_TYPE_INTEGER, 3)}  # type, bytes
_ELEMENTS_PER_MESSAGE = 1_000  # an attribute has at most 64 KiB


def commit(channel: Channel, step: ReplaceTable | EditTable | RemoveTable) -> list[Failure]:
    """Carry out one operation in a transaction of its own; return what the kernel said no to."""
    return channel.transaction(BEGIN, encode_operation(step), END)


def encode_operation(step: ReplaceTable | EditTable | RemoveTable) -> list[Message]:
    """The messages of one operation."""
    match step:
        case RemoveTable(_, name):
            return [message(DELTABLE, text(1, name), family=names.family_of(name))]
        case ReplaceTable(_, table):
            return list(_replace(table))
        case EditTable():
            return list(_edit(step))


def key_bytes(kind: KeyKind, key: str) -> bytes:
    """A map's key as the kernel holds it."""
    if kind is KeyKind.ADDRESS:
        return packed_address(key)
    if kind is KeyKind.VNI:
        return int(key).to_bytes(3, "big")
    protocol, port = key.split()
    return bytes((PROTOCOL_NUMBERS[protocol], 0, 0, 0)) + struct.pack(">H", int(port)) + b"\0\0"


def key_text(kind: KeyKind, key: bytes) -> str:
    """A map's key as we write it."""
    if kind is KeyKind.ADDRESS:
        return address_text(key)
    if kind is KeyKind.VNI:
        return str(int.from_bytes(key[:3], "big"))
    names = {number: name for name, number in PROTOCOL_NUMBERS.items()}
    return f"{names.get(key[0], key[0])} {int.from_bytes(key[4:6], 'big')}"


def _replace(table: Table) -> Iterator[Message]:
    name, family = text(1, table.name), table.family
    yield create(NEWTABLE, name, family=family)  # so that there is one to remove
    yield message(DELTABLE, name, family=family)
    yield create(NEWTABLE, name, family=family)
    numbers = count(1)
    for chain in table.every():
        yield _chain(table, chain)
    for each_noted in table.noted:
        yield _noted(table, each_noted, next(numbers))
    for each in table.maps:
        yield _map(table, each, next(numbers))
        yield from _elements(NEWSETELEM, table, each.name, each.kind, each.elements)
    for chain in table.every():
        yield from _rules(table, chain, numbers)


def _edit(step: EditTable) -> Iterator[Message]:
    table = step.table
    numbers = count(1)
    for chain in step.put:
        yield _chain(table, chain)
        yield message(DELRULE, text(1, table.name) + text(2, chain.name), family=table.family)
        yield from _rules(table, chain, numbers)
    kinds = {each.name: each.kind for each in table.maps}
    for name, keys in step.unset.items():
        gone = dict.fromkeys(keys, "")
        yield from _elements(DELSETELEM, table, name, kinds[name], gone)
    for name, elements in step.set.items():
        yield from _elements(NEWSETELEM, table, name, kinds[name], elements)
    for name in step.drop:
        yield message(DELRULE, text(1, table.name) + text(2, name), family=table.family)
        yield message(DELCHAIN, text(1, table.name) + text(3, name), family=table.family)


def _chain(table: Table, chain: Chain) -> Message:
    body = text(1, table.name) + text(3, chain.name)
    if chain.base is not None:
        link = text(3, chain.base.link) if chain.base.link else b""
        body += nested(4, u32_big(1, chain.base.hook), u32_big(2, chain.base.priority), link)
        body += text(7, chain.base.kind)
    return create(NEWCHAIN, body, family=table.family)


def _map(table: Table, each: VerdictMap, number: int) -> Message:
    kind, size = _KEYS.get(each.kind) or (_TYPE_ADDRESS[table.family], _ADDRESS_BYTES[table.family])
    return create(
        NEWSET,
        text(1, table.name)
        + text(2, each.name)
        + u32_big(3, SET_MAP if each.verdicts else 0)
        + u32_big(4, kind)
        + u32_big(5, size)
        + (u32_big(6, _DATA_VERDICT) + u32_big(7, 0) if each.verdicts else b"")
        + u32_big(10, number),
        family=table.family,
    )


def _noted(table: Table, name: str, number: int) -> Message:
    """A set that packets fill with addresses, which it forgets after a while; of bounded size."""
    return create(
        NEWSET,
        text(1, table.name)
        + text(2, name)
        + u32_big(3, SET_TIMEOUT | SET_EVAL)
        + u32_big(4, _TYPE_ADDRESS[table.family])
        + u32_big(5, _ADDRESS_BYTES[table.family])
        + nested(9, u32_big(1, limits.vxlan_strangers_max))
        + u32_big(10, number),
        family=table.family,
    )


def _elements(
    kind: int, table: Table, name: str, keys: KeyKind, elements: Mapping[str, str]
) -> Iterator[Message]:
    """Elements to set, or (with empty chain names) to remove."""
    packed = []
    for key, chain in elements.items():
        inner = nested(1, attribute(1, key_bytes(keys, key)))
        if chain:
            inner += nested(2, nested(2, u32_big(1, JUMP), text(2, chain)))
        packed.append(nested(1, inner))
    make = create if kind == NEWSETELEM else message
    for first in range(0, len(packed), _ELEMENTS_PER_MESSAGE):
        some = nested(3, *packed[first : first + _ELEMENTS_PER_MESSAGE])
        yield make(kind, text(1, table.name) + text(2, name) + some, family=table.family)


def _rules(table: Table, chain: Chain, numbers: Iterator[int]) -> Iterator[Message]:
    """The chain's rules, each after the anonymous map it looks into, each with its comment."""
    for place, rule in enumerate(chain.rules, 1):
        number = next(numbers)
        for statement in rule:
            if isinstance(statement, Balance):
                yield from _targets(table, statement, number)
        comment = f"{COMMENT} {chain.digest} {place}/{len(chain.rules)}".encode() + b"\0"
        yield create(
            NEWRULE,
            text(1, table.name)
            + text(2, chain.name)
            + nested(4, _bytecode(table, rule, number))
            + attribute(7, bytes((0, len(comment))) + comment),
            NLM_F_APPEND,
            table.family,
        )


def _bytecode(table: Table, rule: Rule, number: int) -> bytes:
    kinds = {each.name: each.kind for each in table.maps}
    code = b""
    for statement in rule:
        if isinstance(statement, Dispatch):
            by_port = kinds[statement.map] is KeyKind.PORT
            code += (
                dispatch_by_port(statement.map)
                if by_port
                else dispatch_by_address(statement.map, table.family)
            )
        else:
            code += encode(statement, number, table.family)
    return code


def _targets(table: Table, balance: Balance, number: int) -> Iterator[Message]:
    """The map from a running number to a target."""
    total, family = len(balance.targets), table.family
    with_port = bool(balance.targets[0].port)
    kind, size = _TYPE_ADDRESS[family], _ADDRESS_BYTES[family]
    yield create(
        NEWSET,
        text(1, table.name)
        + text(2, "__map%d")
        + u32_big(3, SET_ANONYMOUS | SET_CONSTANT | SET_MAP)
        + u32_big(4, _TYPE_INTEGER)
        + u32_big(5, 4)
        + u32_big(6, kind << 6 | _TYPE_PORT if with_port else kind)
        + u32_big(7, size + 4 if with_port else size)
        + nested(9, u32_big(1, total))
        + u32_big(10, number),
        family=family,
    )
    # every element has the same layout: cut it once around the key and the value (a thousand backends)
    key, value = bytes(4), target(balance.targets[0])
    sample = nested(1, nested(1, attribute(1, key)), nested(2, attribute(1, value)))
    before, between = sample[:12], sample[16 : len(sample) - len(value)]
    start = 0 if balance.by_client else balance.start
    turned = (*balance.targets[start:], *balance.targets[:start])
    packed = [before + struct.pack("=I", place) + between + target(to) for place, to in enumerate(turned)]
    head = text(1, table.name) + text(2, "__map%d") + u32_big(4, number)
    for first in range(0, total, _ELEMENTS_PER_MESSAGE):
        some = nested(3, *packed[first : first + _ELEMENTS_PER_MESSAGE])
        yield create(NEWSETELEM, head + some, family=family)
