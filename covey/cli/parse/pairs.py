"""`key=value,key=value`, with CSV quoting for values that contain commas, as Docker's long forms have it."""

import csv

from covey.errors import InvalidArgument


def fields(text: str) -> list[str]:
    """Split at commas, honouring double quotes."""
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise InvalidArgument(f"{text!r} cannot be read ({error}): check its double quotes") from error
    return rows[0] if rows else []


def pairs(text: str) -> list[tuple[str, str | None]]:
    """Split into keys and values; a key without `=` has the value None. Keys are lower-cased."""
    found = list[tuple[str, str | None]]()
    for field in fields(text):
        key, equals, value = field.partition("=")
        found.append((key.strip().lower(), value if equals else None))
    return found


def flag(key: str, value: str | None, text: str) -> bool:
    """Read a key that may stand alone (`readonly`) or say true or false."""
    match (value or "true").lower():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
        case _:
            raise InvalidArgument(f"{text!r}: {key} is {value!r}; it can be true or false")


def key_value(text: str) -> tuple[str, str]:
    """Read a label, `KEY=VALUE` or `KEY` alone."""
    key, _, value = text.partition("=")
    if not key.strip() or key != key.strip():
        raise InvalidArgument(f"{text!r} is not KEY=VALUE: the key is empty or has spaces around it")
    return key, value
