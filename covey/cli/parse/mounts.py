"""Mounts: `type=bind,source=/host,target=/inside,readonly`."""

from msgspec.structs import replace

from covey.errors import InvalidArgument
from covey.model.specs import Mount, TmpfsOptions
from covey.model.states import MountKind

from .amounts import size_bytes
from .pairs import flag, key_value, pairs

_KINDS = {kind.name.lower(): kind for kind in MountKind}
_PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_KEYS = (
    "type, source, target, readonly, bind-propagation, volume-nocopy, volume-label, tmpfs-size and tmpfs-mode"
)
_EXAMPLE = "write it like type=volume,source=data,target=/data"


def mount(text: str) -> Mount:
    """Read what `--mount` takes. Without a type it is a volume."""
    found = Mount(kind=MountKind.VOLUME)
    only_for: dict[str, MountKind] = {}
    for key, value in pairs(text):
        found = _with(found, key, value, text, only_for)
    if not found.target.startswith("/"):
        raise InvalidArgument(f"{text!r}: target {found.target!r} is no absolute path; {_EXAMPLE}")
    for key, kind in only_for.items():
        if found.kind is not kind:
            name = kind.name.lower()
            raise InvalidArgument(f"{text!r}: {key} is for type={name} only; leave it out or set the type")
    return _checked_source(found, text)


def _with(found: Mount, key: str, value: str | None, text: str, only_for: dict[str, MountKind]) -> Mount:
    match key:
        case "readonly" | "ro":
            return replace(found, read_only=flag(key, value, text))
        case "volume-nocopy":
            only_for[key] = MountKind.VOLUME
            return replace(found, no_copy=flag(key, value, text))
    if not value:
        raise InvalidArgument(f"{text!r}: {key} has no value; {_EXAMPLE}")
    match key:
        case "type":
            kind = _KINDS.get(value.lower())
            if kind is None:
                raise InvalidArgument(f"{text!r}: type {value!r} is none of {', '.join(_KINDS)}")
            return replace(found, kind=kind)
        case "source" | "src":
            return replace(found, source=value)
        case "target" | "destination" | "dst":
            return replace(found, target=value)
        case "bind-propagation":
            only_for[key] = MountKind.BIND
            if value not in _PROPAGATIONS:
                raise InvalidArgument(f"{text!r}: {key} {value!r} is none of {', '.join(_PROPAGATIONS)}")
            return replace(found, propagation=value)
        case "volume-label":
            only_for[key] = MountKind.VOLUME
            label, content = key_value(value)
            return replace(found, labels={**found.labels, label: content})
        case "tmpfs-size" | "tmpfs-mode":
            only_for[key] = MountKind.TMPFS
            return replace(found, tmpfs=_tmpfs(found.tmpfs or TmpfsOptions(), key, value, text))
        case _:
            raise InvalidArgument(f"{text!r}: unknown key {key!r}; there are {_KEYS}")


def _tmpfs(options: TmpfsOptions, key: str, value: str, text: str) -> TmpfsOptions:
    if key == "tmpfs-size":
        return replace(options, size_bytes=size_bytes(value))
    try:
        mode = int(value, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise InvalidArgument(f"{text!r}: tmpfs-mode {value!r} is no permission mode; write it like 1770")
    return replace(options, mode=mode)


def _checked_source(found: Mount, text: str) -> Mount:
    match found.kind:
        case MountKind.BIND if not found.source.startswith("/"):
            raise InvalidArgument(
                f"{text!r}: source {found.source!r} is no absolute path, which a bind needs on every node"
            )
        case MountKind.VOLUME if "/" in found.source:
            raise InvalidArgument(
                f"{text!r}: source {found.source!r} is no volume name; for a host path say type=bind"
            )
        case MountKind.TMPFS if found.source:
            raise InvalidArgument(f"{text!r}: a tmpfs has no source; leave {found.source!r} out")
        case _:
            return found
