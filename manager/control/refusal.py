"""Refusals: the sentence every one of them is, and the checks that several specs share."""

import ipaddress
import re
from collections.abc import Iterable, Mapping

from covey import limits
from covey.errors import InvalidArgument

_NAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_-]*[a-zA-Z0-9])?")


def refuse(field: str, value: object, remedy: str) -> InvalidArgument:
    """Make the error for a field whose value cannot be had."""
    return InvalidArgument(f"{field}: {value!r} {remedy}")


def check_name(field: str, name: str) -> None:
    """Check the name of a service or network: it becomes a DNS name."""
    if not name or len(name) > limits.name_length_chars_max or not _NAME.fullmatch(name):
        raise refuse(
            field,
            name,
            f"is not a name: up to {limits.name_length_chars_max} letters, digits, - and _, "
            "beginning and ending with a letter or digit",
        )


def check_labels(field: str, labels: Mapping[str, str]) -> None:
    """Check the number, the keys and the size of labels."""
    if len(labels) > limits.label_count_max:
        raise refuse(field, len(labels), f"labels are more than the {limits.label_count_max} allowed")
    for key, value in labels.items():
        if not key or "=" in key or key != key.strip():
            raise refuse(
                field, key, "is not a label's key: it is not empty, with no = and no spaces around it"
            )
        if len(key.encode()) + len(value.encode()) > limits.label_length_bytes_max:
            most = limits.label_length_bytes_max
            raise refuse(field, key[:40], f"is longer than {most} bytes with its value")


def check_not_negative(field: str, value: int, meaning: str) -> None:
    """Refuse a number below 0; `meaning` says what 0 does."""
    if value < 0:
        raise refuse(field, value, f"is negative; use 0 or more: {meaning}")


def check_unique(field: str, values: Iterable[object], remedy: str) -> None:
    """Refuse the first value that is there twice."""
    seen = set[object]()
    for value in values:
        if value in seen:
            raise refuse(field, value, remedy)
        seen.add(value)


def is_address(text: str) -> bool:
    """Tell whether a text is an IP address of either family."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_word(text: str) -> bool:
    """Tell whether a text can stand as one word of a line in a file."""
    return bool(text) and text.isprintable() and not any(char.isspace() for char in text)


def is_number(text: str) -> bool:
    """Tell whether `int` reads a text as people do (it takes other scripts' digits too), and it is short."""
    return text.isascii() and text.isdecimal() and len(text) < 10
