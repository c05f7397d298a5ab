"""Structs as JSON for people and scripts: every field, enumerations by name, times as dates."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import msgspec

from ..options import word

_TIME_SUFFIX = "at_ns"


def jsonable(value: Any) -> Any:
    """Return `value` as what `json` takes. `created_at_ns` becomes `created_at`, a date in RFC 3339."""
    if isinstance(value, msgspec.Struct):
        shown = {}
        for field in msgspec.structs.fields(value):
            item = getattr(value, field.name)
            if field.name.endswith(_TIME_SUFFIX):
                shown[field.name.removesuffix("_ns")] = date(item)
            else:
                shown[field.name] = jsonable(item)
        return shown
    if isinstance(value, IntEnum):
        return word(value)
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [jsonable(item) for item in value]
    return value


def date(ns: int) -> str | None:
    """Write a time as RFC 3339 with nanoseconds, None for never."""
    if not ns:
        return None
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def json_array(items: list[Any]) -> str:
    """Write one JSON array."""
    return json.dumps([jsonable(item) for item in items], indent=2, ensure_ascii=False)
