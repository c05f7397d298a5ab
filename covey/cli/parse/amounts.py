"""Durations, sizes and CPUs."""

import re
from decimal import Decimal, InvalidOperation

from covey.errors import InvalidArgument

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(?:([kmgtp])(?:i?b)?|b)?", re.IGNORECASE)
_SIZE_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_INT64_MAX = 2**63 - 1


def duration_ns(text: str) -> int:
    """Read a duration as Go writes it (`5s`, `1m30s`, `1.5h`, `0`) into nanoseconds."""
    remedy = "write a number and a unit, such as 500ms, 5s, 1m30s or 2h"
    if text == "0":
        return 0
    total, at = Decimal(0), 0
    while at < len(text):
        part = _DURATION_PART.match(text, at)
        if part is None:
            raise InvalidArgument(f"{text!r} is not a duration: {remedy}")
        total += Decimal(part[1]) * _UNITS_NS[part[2]]
        at = part.end()
    if not text or total > _INT64_MAX:
        raise InvalidArgument(f"{text!r} is not a duration: {remedy}")
    return int(total)


def size_bytes(text: str) -> int:
    """Read a size (`1024`, `64m`, `1.5g`, `2GiB`) into bytes; units are powers of 1024, as in Docker."""
    form = _SIZE.fullmatch(text.strip())
    if form is None:
        raise InvalidArgument(f"{text!r} is not a size: write a number and b, k, m or g, such as 64m or 1.5g")
    size = Decimal(form[1]) * 1024 ** _SIZE_POWERS[(form[2] or "").lower()]
    if size > _INT64_MAX:
        raise InvalidArgument(f"{text!r} is more than any machine has; write a smaller size")
    return int(size)


def nano_cpus(text: str) -> int:
    """Read a number of CPUs (`0.5`, `2`) into billionths."""
    try:
        cpus = Decimal(text)
    except InvalidOperation:
        cpus = Decimal(-1)
    if not cpus.is_finite() or not 0 <= cpus <= 1_000_000:
        raise InvalidArgument(f"{text!r} is not a number of CPUs: write one such as 0.5 or 2")
    billionths = cpus * 1_000_000_000
    if billionths != int(billionths):
        raise InvalidArgument(f"{text!r} is too fine a part of a CPU: at most nine decimals are kept")
    return int(billionths)
