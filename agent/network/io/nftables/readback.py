"""What firewall tables of ours a namespace holds, as far as it can be told (`TableView`)."""

import errno
from collections.abc import Collection, Iterator

from ...firewall import Family, KeyKind, TableView
from ..wire import Channel, attribute_list, attributes, string, text
from .messages import ANY_FAMILY, BODY_OFFSET, GETCHAIN, GETRULE, GETSET, GETSETELEM, GETTABLE, message
from .transactions import COMMENT, SET_ANONYMOUS, SET_EVAL, key_text

_KINDS = {3: KeyKind.VNI, 4: KeyKind.ADDRESS, 8: KeyKind.PORT, 16: KeyKind.ADDRESS}  # by the bytes of a key
_UNREADABLE_BASE = "base-changed"  # like no digest, and still a base chain's


def tables(channel: Channel, ours: Collection[str], family: Family = Family.IPV4) -> dict[str, TableView]:
    """The tables of one family with the names `ours` that are there."""
    present = sorted(name for number, name in standing(channel) if number == family and name in ours)
    if family is Family.LINK:
        return {name: TableView(_chains(channel, name, family), {}) for name in present}
    return {name: TableView(_chains(channel, name, family), _maps(channel, name, family)) for name in present}


def standing(channel: Channel) -> set[tuple[int, str]]:
    """All tables there are, whosever they be: of which family (NFPROTO_*), and their names."""
    every = channel.dump(message(GETTABLE, b"", family=ANY_FAMILY))
    return {(body[0], string(attributes(body[BODY_OFFSET:])[1])) for _, body in every}


def listed(
    channel: Channel, kind: int, filter_: bytes, family: Family = Family.IPV4
) -> Iterator[dict[int, bytes]]:
    """The attributes of each entry of a listing; none if what was asked for is gone."""
    try:
        entries = channel.dump(message(kind, filter_, family=family))
    except OSError as error:
        if error.errno == errno.ENOENT:  # gone since it was listed
            return
        raise
    for _, body in entries:
        yield attributes(body[BODY_OFFSET:])


def _chains(channel: Channel, table: str, family: Family) -> dict[str, str]:
    every = listed(channel, GETCHAIN, b"", family)
    base = {string(each[3]): 4 in each for each in every if string(each[1]) == table}
    said: dict[str, list[str]] = {name: [] for name in base}
    for rule in listed(channel, GETRULE, text(1, table), family):
        if string(rule[1]) == table:
            said.setdefault(string(rule[2]), []).append(_comment(rule.get(7, b"")))
    return {name: _digest(comments, base.get(name, False)) for name, comments in said.items()}


def _comment(userdata: bytes) -> str:
    """The comment in a rule's user data: entries of type, length, value; a comment's type is 0."""
    offset = 0
    while offset + 2 <= len(userdata):
        kind, length = userdata[offset], userdata[offset + 1]
        if kind == 0:
            return string(userdata[offset + 2 : offset + 2 + length])
        offset += 2 + length
    return ""


def _digest(comments: list[str], base: bool) -> str:
    """What all rules of a chain agree on, if none is missing, moved or added."""
    total = len(comments)
    digests = set()
    for place, comment in enumerate(comments, 1):
        parts = comment.split()
        if len(parts) != 3 or parts[0] != COMMENT or parts[2] != f"{place}/{total}":
            digests.add("")
        else:
            digests.add(parts[1])
    agreed = digests.pop() if len(digests) == 1 else ""
    if base:
        return agreed if agreed.startswith("base-") else _UNREADABLE_BASE
    return agreed if not agreed.startswith("base-") else ""


def _maps(channel: Channel, table: str, family: Family) -> dict[str, dict[str, str]]:
    """The maps of a table and what they hold. One that nobody here can have made is not taken for any of ours."""
    found = {}
    for each in listed(channel, GETSET, text(1, table), family):
        flags = int.from_bytes(each.get(3, b""), "big")
        if string(each[1]) == table and not flags & (SET_ANONYMOUS | SET_EVAL):
            name, kind = string(each[2]), _KINDS.get(int.from_bytes(each[5], "big"))
            elements = _elements(channel, table, name, kind, family) if kind else None
            found[name if elements is not None else f"{name}, a strange one"] = elements or {}
    return found


def _elements(
    channel: Channel, table: str, name: str, kind: KeyKind, family: Family
) -> dict[str, str] | None:
    """What a map holds by key; None if it holds something for all other keys, too."""
    found = {}
    for answer in listed(channel, GETSETELEM, text(1, table) + text(2, name), family):
        for _, element in attribute_list(answer.get(3, b"")):
            inner = attributes(element)
            if 1 not in inner:
                return None
            key = attributes(inner[1])[1]
            verdict = attributes(attributes(inner.get(2, b"")).get(2, b""))
            found[key_text(kind, key)] = string(verdict.get(2, b""))
    return found
