"""Structs for reading: what is set, indented, with durations and sizes in words."""

from collections.abc import Iterator
from typing import Any

import msgspec

from covey.model import generic
from covey.model.quantity import duration_text, size_text
from covey.model.specs import GenericResource

from .jsonable import date, jsonable

_STEP = 2


def pretty(value: msgspec.Struct) -> str:
    """Write what differs from the defaults, one field a line."""
    return "\n".join(_lines(value, 0))


def _lines(value: msgspec.Struct, indent: int) -> Iterator[str]:
    for name, item in _set_fields(value):
        label = " " * indent + _words(name) + ":"
        if isinstance(item, msgspec.Struct):
            yield label
            yield from _lines(item, indent + _STEP)
        elif isinstance(item, dict):
            yield label
            yield from (f"{' ' * (indent + _STEP)}{key}={content}" for key, content in item.items())
        elif isinstance(item, tuple):
            yield label
            yield from (f"{' ' * (indent + _STEP)}- {_inline(entry)}" for entry in item)
        else:
            yield f"{label} {_plain(name, item)}"


def _set_fields(value: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    for field in msgspec.structs.fields(value):
        item = getattr(value, field.name)
        if item != field.default and item not in ("", (), {}, None):
            yield field.name, item


def _inline(entry: Any) -> str:
    if isinstance(entry, GenericResource):
        return generic.describe((entry,))
    if isinstance(entry, msgspec.Struct):
        return ", ".join(
            f"{_words(name).lower()} {_inline_value(name, item)}" for name, item in _set_fields(entry)
        )
    return str(entry)


def _inline_value(name: str, item: Any) -> str:
    if isinstance(item, msgspec.Struct):
        return f"({_inline(item)})"
    if isinstance(item, tuple):
        return " ".join(map(_inline, item))
    return str(item) if isinstance(item, dict) else _plain(name, item)


def _words(name: str) -> str:
    for unit in ("_ns", "_bytes"):
        name = name.removesuffix(unit)
    return name.replace("nano_cpus", "cpus").replace("_", " ").capitalize()


def _plain(name: str, item: Any) -> str:
    if name.endswith("at_ns"):
        return str(date(item))
    if name.endswith("_ns"):
        return duration_text(item)
    if name.endswith("_bytes"):
        return size_text(item)
    if name == "nano_cpus":
        return f"{item / 1e9:g}"
    return str(jsonable(item))
