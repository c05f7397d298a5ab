"""What differs between two specs of a service, field by field, in the words of the command's flags.

A spec is first laid flat: one text per field, entries of a list or a map by themselves (`env LEVEL`,
`publish 80/tcp`). A difference is then one of two texts. New fields of a spec are named by rule, so that none is
ever left out; `_NAMES` has those for which the rule does not give the flag's word.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from typing import Any, Final

import msgspec

from .objects import Part
from .quantity import cpus_text, duration_text, size_text
from .specs import (
    GenericResource,
    Mount,
    NetworkAttachmentSpec,
    Platform,
    PortConfig,
    ServiceSpec,
    SpreadPreference,
    Ulimit,
)
from .states import MeshMode, PublishMode, ServiceModeKind

_HIDDEN: Final = "(hidden)"
_CREDENTIALS: Final = "task.container.registry_auth"
_IMAGE, _DIGEST = "image", "image-digest"

_PREFIXES: Final = (
    ("task.container.", ""),
    ("task.resources.limits.", "limit-"),
    ("task.resources.reservations.", "reserve-"),
    ("task.placement.", ""),
    ("task.", ""),
    ("mode.", ""),
    ("endpoint.", ""),
)

_NAMES: Final = {
    "mode.kind": "mode",
    "mode.total_completions": "replicas",
    "endpoint.mode": "endpoint-mode",
    "endpoint.drain_ns": "drain-time",
    "endpoint.affinity": "affinity",
    "endpoint.ports": "publish",
    "labels": "label",
    "task.force_update": "force",
    "task.networks": "network",
    "task.container.labels": "container-label",
    "task.container.command": "entrypoint",
    "task.container.stop_grace_ns": "stop-grace-period",
    "task.container.mounts": "mount",
    "task.container.sysctls": "sysctl",
    "task.container.ulimits": "ulimit",
    "task.container.groups": "group",
    "task.container.hosts": "host",
    "task.container.capability_add": "cap-add",
    "task.container.capability_drop": "cap-drop",
    "task.container.dns.nameservers": "dns",
    "task.container.dns.options": "dns-option",
    "task.container.health.test": "health-cmd",
    _CREDENTIALS: "with-registry-auth",
    "task.resources.reservations.generic": "generic-resource",
    "task.placement.constraints": "constraint",
    "task.placement.preferences": "placement-pref",
    "task.placement.platforms": "platform",
    "task.placement.max_replicas_per_node": "replicas-max-per-node",
}

# Where 0 says that nothing is asked for.
_UNSET_AT_ZERO: Final = (
    "task.resources.",
    "task.container.health.",
    "task.placement.max_replicas_per_node",
    "mode.max_concurrent",
    "mode.total_completions",
)


class FieldChange(Part, frozen=True):
    """One field that differs. An empty text means that it was not set, or is no more."""

    path: str = ""
    before: str = ""
    after: str = ""


def changes(
    before: ServiceSpec, after: ServiceSpec, networks: Mapping[str, str] | None = None
) -> list[FieldChange]:
    """List what differs, in the order of the fields, what is not set any more last.

    `networks` gives names for ids, which stand there without. Of credentials no more is told than that they changed.
    """
    old, new = flat(before, networks), flat(after, networks)
    found = [
        FieldChange(path, old.get(path, ""), new.get(path, ""))
        for path in {**new, **old}
        if old.get(path) != new.get(path)
    ]
    changed = {change.path for change in found}
    hidden = _NAMES[_CREDENTIALS]
    if hidden not in changed and _auth(before) != _auth(after):
        found.append(FieldChange(hidden, _HIDDEN, f"{_HIDDEN}, others"))
    # Another image has another digest; only where a tag has moved is that news.
    return [change for change in found if change.path != _DIGEST or _IMAGE not in changed]


def flat(spec: ServiceSpec, networks: Mapping[str, str] | None = None) -> dict[str, str]:
    """Lay a spec flat: texts by path. Fields that are not set are left out; credentials are only named."""
    names = networks or {}
    found: dict[str, str] = {}
    for path, value in _leaves(spec, ""):
        if _applies(path, spec.mode.kind):
            for key, text in _texts(path, value, names):
                said = f"{_name(path)} {key}" if key else _name(path)
                found[said] = f"{found[said]}, {text}" if said in found else text
    return found


def _auth(spec: ServiceSpec) -> object:
    return spec.task.container.registry_auth


def _leaves(value: msgspec.Struct, prefix: str) -> Iterator[tuple[str, Any]]:
    for field in msgspec.structs.fields(value):
        path, item = prefix + field.name, getattr(value, field.name)
        if isinstance(item, msgspec.Struct) and path != _CREDENTIALS:
            yield from _leaves(item, f"{path}.")
        else:
            yield path, item


def _applies(path: str, kind: ServiceModeKind) -> bool:
    """A job's completions and a service's replicas go by one word, and a service has one of them."""
    if path == "mode.replicas":
        return kind is ServiceModeKind.REPLICATED
    return path != "mode.total_completions" or kind is ServiceModeKind.REPLICATED_JOB


def _name(path: str) -> str:
    if path in _NAMES:
        return _NAMES[path]
    for prefix, said in _PREFIXES:
        if path.startswith(prefix):
            path = said + path.removeprefix(prefix)
            break
    for unit in ("_ns", "_bytes"):
        path = path.removesuffix(unit)
    return path.replace("nano_cpus", "cpu").replace(".", "-").replace("_", "-")


def _texts(path: str, value: Any, networks: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give the texts of one field: one without a key, or one for each entry."""
    if value is None or value == "" or value == ():
        return
    if path == _CREDENTIALS:
        yield "", _HIDDEN
    elif isinstance(value, dict):
        yield from ((key, text or '""') for key, text in value.items())
    elif path == "task.container.env":
        for variable in value:
            name, _, text = variable.partition("=")
            yield name, text or '""'
    elif isinstance(value, tuple):
        yield from _of_entries(path, value, networks)
    elif value != 0 or not path.startswith(_UNSET_AT_ZERO):
        yield "", _plain(path, value)


def _of_entries(
    path: str, entries: tuple[Any, ...], networks: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    name = path.rpartition(".")[2]
    if name in ("command", "args"):
        yield "", shlex.join(entries)
    elif name == "test":
        yield "", _test_text(entries)
    elif isinstance(entries[0], NetworkAttachmentSpec):
        for attachment in entries:
            aliases = ", ".join(attachment.aliases)
            yield networks.get(attachment.target, attachment.target), f"as {aliases}" if aliases else "joined"
    elif type(entries[0]) in _ENTRIES:
        for entry in entries:
            yield _ENTRIES[type(entry)](entry)
    else:
        yield "", ", ".join(map(str, entries))


def _test_text(test: tuple[str, ...]) -> str:
    kind, *words = test
    if kind == "NONE":
        return "(no check)"
    return words[0] if kind == "CMD-SHELL" and len(words) == 1 else shlex.join(words)


def _port(port: PortConfig) -> tuple[str, str]:
    key = f"{port.target_port}/{port.protocol.name.lower()}"
    where = "every node" if port.publish_mode is PublishMode.INGRESS else "nodes with a task"
    if port.published_address:
        where = f"{port.published_address} of {where}"
    said = [port.name] if port.name else []
    said += [f"mesh {port.mesh.name.lower()}"] if port.mesh is not MeshMode.PRESERVE else []
    said += [f"health port {port.health_port}"] if port.health_port else []
    return key, f"{port.published_port or 'any port'} on {where}" + (f" ({', '.join(said)})" if said else "")


def _mount(mount: Mount) -> tuple[str, str]:
    said = [mount.kind.name.lower(), *([mount.source] if mount.source else [])]
    said += [word for word, given in (("read-only", mount.read_only), ("no-copy", mount.no_copy)) if given]
    said += [mount.propagation] if mount.propagation else []
    said += [f"{key}={text}" for key, text in mount.labels.items()]
    if mount.tmpfs is not None:
        said += [f"size {size_text(mount.tmpfs.size_bytes)}"] if mount.tmpfs.size_bytes else []
        said.append(f"mode {mount.tmpfs.mode:o}")
    return mount.target, " ".join(said)


def _ulimit(ulimit: Ulimit) -> tuple[str, str]:
    return ulimit.name, f"{ulimit.soft}:{ulimit.hard}"


def _generic(resource: GenericResource) -> tuple[str, str]:
    return resource.kind, resource.value or str(resource.count)


def _spread(preference: SpreadPreference) -> tuple[str, str]:
    return "", f"spread={preference.spread}"


def _platform(platform: Platform) -> tuple[str, str]:
    return "", f"{platform.os}/{platform.architecture}"


_ENTRIES: Final[dict[type, Callable[[Any], tuple[str, str]]]] = {
    PortConfig: _port,
    Mount: _mount,
    Ulimit: _ulimit,
    GenericResource: _generic,
    SpreadPreference: _spread,
    Platform: _platform,
}


def _plain(path: str, value: Any) -> str:
    if isinstance(value, IntEnum):
        return value.name.lower().replace("_", "-")
    if isinstance(value, bool):
        return "true" if value else "false"
    if path.endswith("_ns"):
        return duration_text(value)
    if path.endswith("_bytes"):
        return size_text(value)
    if path.endswith("nano_cpus"):
        return cpus_text(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
