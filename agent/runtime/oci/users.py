"""Who a container runs as: `user[:group]` by name or number, looked up in the image's passwd and group.

The rules are Docker's: a name must be in the file, a number need not; without a group, the user's own and
all that list him; with one, only that. Further groups come from the spec.
"""

from collections.abc import Sequence

from msgspec import Struct

from covey.errors import InvalidArgument

_ID_MAX = (1 << 31) - 1


class Identity(Struct, frozen=True, gc=False):
    """Numbers for the kernel, and the home directory for HOME."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = "/"


def resolve(user: str, groups: Sequence[str], passwd: str, group: str) -> Identity:
    """Look `user` and `groups` up in the texts of `passwd` and `group`; an error names who is missing."""
    who, _, which = user.partition(":")
    who = who or "0"
    people, bands = _lines(passwd, 6), _lines(group, 3)
    person = _find(people, who)
    if person is None and not who.isdecimal():
        raise InvalidArgument(
            f"user {who!r} is not in the image's /etc/passwd; use a name from there or a number"
        )
    uid = _number(person[2] if person else who, "user")
    gid = _number(person[3], "group") if person else 0
    further: list[int] = []
    if which:
        gid = _group(bands, which)
    elif person:
        further = [_number(b[2], "group") for b in bands if len(b) > 3 and person[0] in b[3].split(",")]
    further += [_group(bands, name) for name in groups]
    return Identity(uid, gid, tuple(sorted(set(further))), person[5] if person and person[5] else "/")


def _lines(text: str, fields: int) -> list[list[str]]:
    return [line.split(":") for line in text.splitlines() if line.count(":") >= fields - 1]


def _find(lines: list[list[str]], key: str) -> list[str] | None:
    """By name first: a user may be called 1000."""
    return next((e for e in lines if e[0] == key), None) or next((e for e in lines if e[2] == key), None)


def _group(bands: list[list[str]], key: str) -> int:
    band = _find(bands, key)
    if band is None and not key.isdecimal():
        raise InvalidArgument(
            f"group {key!r} is not in the image's /etc/group; use a name from there or a number"
        )
    return _number(band[2] if band else key, "group")


def _number(text: str, kind: str) -> int:
    if not text.isdecimal() or int(text) > _ID_MAX:
        raise InvalidArgument(f"{kind} id {text!r} is not a number from 0 to {_ID_MAX}")
    return int(text)
