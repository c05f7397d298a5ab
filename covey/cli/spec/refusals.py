"""Options that cannot go together. The managers check again; this says it before anything is sent."""

from collections.abc import Mapping
from typing import Any

from covey import limits
from covey.errors import InvalidArgument
from covey.model.quantity import size_text
from covey.model.specs import ServiceSpec
from covey.model.states import EndpointMode, PublishMode, ServiceModeKind


def check(spec: ServiceSpec, given: Mapping[str, Any]) -> None:
    """Raise InvalidArgument for the first contradiction among the given options and the spec."""
    mode = given.get("mode", spec.mode.kind)
    replicas = given.get("replicas")
    if replicas is not None and mode is not ServiceModeKind.REPLICATED:
        name = mode.name.lower().replace("_", "-")
        raise InvalidArgument(
            f"--replicas {replicas}: a {name} service has no number of replicas; leave it out"
        )
    if replicas is not None and replicas > limits.replicas_max:
        raise InvalidArgument(f"--replicas {replicas}: at most {limits.replicas_max} are possible")
    _check_resources(spec, given)
    _check_ports(spec, given)
    both = set(_names(given, "cap_add")) & set(_names(given, "cap_drop"))
    if both:
        raise InvalidArgument(f"--cap-add and --cap-drop both name {min(both)}: choose one")


def _names(given: Mapping[str, Any], option: str) -> list[str]:
    return [name.upper().removeprefix("CAP_") for name in given.get(option, ())]


def _check_resources(spec: ServiceSpec, given: Mapping[str, Any]) -> None:
    now = spec.task.resources
    for noun, shown, present in (
        ("cpu", _cpus, (now.reservations.nano_cpus, now.limits.nano_cpus)),
        ("memory", size_text, (now.reservations.memory_bytes, now.limits.memory_bytes)),
    ):
        reserved = given.get(f"reserve_{noun}", present[0])
        limit = given.get(f"limit_{noun}", present[1])
        if limit and reserved > limit:
            raise InvalidArgument(
                f"--reserve-{noun} {shown(reserved)} is over --limit-{noun} {shown(limit)}: "
                "what is kept for a task must not be more than it may use"
            )
        least = limits.nano_cpus_min if noun == "cpu" else limits.memory_bytes_min
        for flag in (f"limit_{noun}", f"reserve_{noun}"):
            value = given.get(flag, 0)
            if 0 < value < least:
                name = flag.replace("_", "-")
                raise InvalidArgument(f"--{name} {shown(value)}: the least is {shown(least)}, 0 is without")


def _cpus(nano_cpus: int) -> str:
    return f"{nano_cpus / 1e9:g}"


def _check_ports(spec: ServiceSpec, given: Mapping[str, Any]) -> None:
    mode = given.get("endpoint_mode", spec.endpoint.mode)
    added = given.get("publish_add", ())
    if mode is EndpointMode.DNSRR and any(port.publish_mode is PublishMode.INGRESS for port in added):
        raise InvalidArgument(
            "--publish on every node needs a virtual address: use --endpoint-mode vip, or publish with mode=host"
        )
    seen = set[tuple[int, int]]()
    for port in added:
        where = (port.protocol, port.published_port)
        if port.published_port and where in seen:
            name = f"{port.published_port}/{port.protocol.name.lower()}"
            raise InvalidArgument(f"--publish {name} is given twice: a port can lead to one place only")
        seen.add(where)
