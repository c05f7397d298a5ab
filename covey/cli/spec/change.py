"""Applying options to a service's spec."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from covey.errors import InvalidArgument, NotFound
from covey.model.specs import DnsConfig, HealthCheck, NodeSpec, ServiceSpec
from covey.model.states import ServiceModeKind

from .fields import CAPABILITIES, LISTS, MAPS, SCALARS, Listed
from .refusals import check

S = TypeVar("S", bound=msgspec.Struct)

Given = Mapping[str, Any]

ADD, REMOVE = "_add", "_rm"

_NO_CHECK = ("NONE",)


def created(given: Given) -> ServiceSpec:
    """Return the spec of a new service. Lists are given under their plain names (`env`, `publish`)."""
    given = {f"{name}{ADD}" if name in LISTS or name in MAPS else name: given[name] for name in given}
    return changed(ServiceSpec(), given)


def changed(spec: ServiceSpec, given: Given) -> ServiceSpec:
    """Return `spec` with the given options applied.

    Raises InvalidArgument for options that contradict each other or the spec, NotFound for a `--...-rm` of
    what is not there.
    """
    check(spec, given)
    job = given.get("mode", spec.mode.kind) is ServiceModeKind.REPLICATED_JOB
    result = spec
    if given.get("image", spec.task.container.image) != spec.task.container.image:
        result = _put(result, "task.container.image_digest", "")  # it belonged to the other image,
        result = _put(result, "task.placement.platforms", ())  # and so did these
    for option, path in SCALARS.items():
        if option in given:
            result = _put(result, _of_job(path) if job else path, given[option])
    for option, path in MAPS.items():
        result = _put(result, path, _merged(option, _get(result, path), given))
    for option, listed in LISTS.items():
        if given.get(option + ADD) or given.get(option + REMOVE):
            entries = _entries(option, listed, _get(result, listed.path) or (), given)
            result = _put(result, listed.path, entries)
    return _with_health(_with_capabilities(result, given), given)


def changed_node(spec: NodeSpec, given: Given) -> NodeSpec:
    """Return a node's spec with the given options applied."""
    fields = {"role": "role", "availability": "availability", "drain_deadline": "drain_deadline_ns"}
    new = {field: given[option] for option, field in fields.items() if option in given}
    return replace(spec, labels=_merged("label", spec.labels, given, "the node"), **new)


def _of_job(path: str) -> str:
    """Read `--replicas` as Docker does: of a replicated job it is how many are to complete."""
    return "mode.total_completions" if path == "mode.replicas" else path


def _with_health(spec: ServiceSpec, given: Given) -> ServiceSpec:
    """Settle whether there is a check: `--no-healthcheck` takes it away, any other flag of it brings it back."""
    health = spec.task.container.health or HealthCheck()
    off = health.test == _NO_CHECK
    if given.get("no_healthcheck"):
        health = HealthCheck(test=_NO_CHECK)
    elif off and any(name == "no_healthcheck" or name.startswith("health_") for name in given):
        health = replace(health, test=())  # that of the image
    return _put(spec, "task.container.health", None if health == HealthCheck() else health)


def _merged(option: str, present: dict[str, str], given: Given, whose: str = "the service") -> dict[str, str]:
    merged = dict(present)
    for key in given.get(option + REMOVE, ()):
        if key not in merged:
            raise _not_there(option, key, merged, whose)
        del merged[key]
    merged.update(dict(given.get(option + ADD, ())))
    return merged


def _entries(option: str, listed: Listed, present: Iterable[Any], given: Given) -> tuple[Any, ...]:
    kept: dict[Any, list[Any]] = {}
    for entry in present:
        kept.setdefault(listed.key(entry), []).append(entry)
    for name in given.get(option + REMOVE, ()):
        if listed.named(name) not in kept:
            raise _not_there(option, listed.said(listed.named(name)), map(listed.said, kept))
        del kept[listed.named(name)]
    added: dict[Any, list[Any]] = {}
    for entry in given.get(option + ADD, ()):
        same = added.setdefault(listed.key(entry), [])
        if option != "publish":
            same.clear()  # the last one wins, but one port may be published at several places
        if entry not in same:
            same.append(entry)
    return tuple(entry for entries in (kept | added).values() for entry in entries)


def _with_capabilities(spec: ServiceSpec, given: Given) -> ServiceSpec:
    for mine, option in zip(CAPABILITIES, ("cap_add", "cap_drop"), strict=True):
        names = [name.upper().removeprefix("CAP_") for name in given.get(option, ())]
        if not names:
            continue
        (other,) = set(CAPABILITIES) - {mine}
        spec = _put(spec, other, tuple(name for name in _get(spec, other) if name not in names))
        spec = _put(spec, mine, tuple(dict.fromkeys((*_get(spec, mine), *names))))
    return spec


def _not_there(option: str, name: str, present: Iterable[str], whose: str = "the service") -> NotFound:
    noun = option.replace("_", "-")
    known = ", ".join(present)
    has = f"{whose} has {known}" if known else f"{whose} has none"
    return NotFound(f"--{noun}-rm {name}: is not there; {has}")


def _get(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = getattr(value, name) if value is not None else None
    return value


_OPTIONAL: dict[str, type[msgspec.Struct]] = {"dns": DnsConfig, "health": HealthCheck}
"""The structs on a path that may be absent."""


def _put(value: S, path: str, new: Any) -> S:
    name, dot, rest = path.partition(".")
    if not dot:
        return replace(value, **{name: new})
    inner = getattr(value, name)
    if inner is None:
        inner = _OPTIONAL[name]()
    return replace(value, **{name: _put(inner, rest, new)})


def scaled(spec: ServiceSpec, replicas: int) -> ServiceSpec:
    """Return the spec with another number of replicas (or of a job's completions).

    Raises InvalidArgument for a service that has none.
    """
    return changed(spec, {"replicas": replicas})


def scale_argument(text: str) -> tuple[str, int]:
    """Read one argument of `service scale`, `SERVICE=REPLICAS`."""
    name, equals, count = text.rpartition("=")
    if not equals or not name or not count.isdecimal() or len(count) > 18:
        raise InvalidArgument(f"{text!r} is not SERVICE=REPLICAS, such as web=5")
    return name, int(count)
