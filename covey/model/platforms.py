"""Platforms: which ones an image is made for, as its manifest says, and whether a node is one of them. Pure."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from covey import limits
from covey.model.constraint import architecture
from covey.model.objects import Node
from covey.model.specs import Platform

_WORD = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_UNKNOWN = "unknown"  # what BuildKit writes where a manifest is no image but says something of one


def made_for(platforms: Iterable[Platform], node: Node) -> bool:
    """Tell whether an image for these platforms runs on a node; one for no platform in particular runs on all."""
    known = tuple(platforms)
    mine = node.description.platform
    return not known or any(
        (not p.os or p.os.lower() == mine.os.lower())
        and (not p.architecture or architecture(p.architecture) == architecture(mine.architecture))
        for p in known
    )


def of_manifest(raw: bytes) -> tuple[Platform, ...] | None:
    """The platforms of a list of manifests (OCI's index, Docker's manifest list), each once and in order.

    None for a manifest of one image, whose configuration says what it is for. Empty if a list does not say it of
    each of its images: one of them may be for any node.
    """
    listed = _object(raw).get("manifests")
    if not isinstance(listed, list):
        return None
    found = [_platform(entry.get("platform")) for entry in listed if isinstance(entry, dict)]
    images = [platform for platform in found if platform.os != _UNKNOWN]
    each_once = tuple(dict.fromkeys(images))
    told = all(platform.os and platform.architecture for platform in each_once)
    return each_once if told and len(each_once) <= limits.image_platforms_max else ()


def of_config(raw: bytes) -> tuple[Platform, ...]:
    """The platform in an image's configuration; empty if it does not say."""
    platform = _platform(_object(raw))
    return (platform,) if platform.os and platform.architecture else ()


def _platform(said: Any) -> Platform:
    return Platform(*(_word(said, field) for field in ("os", "architecture")))


def _word(said: Any, field: str) -> str:
    """A name that a registry gave, if it can be one at all."""
    value = said.get(field) if isinstance(said, dict) else None
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def _object(raw: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}
