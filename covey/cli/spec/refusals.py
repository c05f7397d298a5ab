"""Options that cannot go together. The managers check again; this says it before anything is sent."""

from collections.abc import Mapping
from typing import Any

from covey import limits
from covey.errors import InvalidArgument
from covey.model.quantity import size_text
from covey.model.specs import ServiceSpec
from covey.model.states import Affinity, EndpointMode, PublishMode, ServiceModeKind


def check(spec: ServiceSpec, given: Mapping[str, Any]) -> None:
    """Raise InvalidArgument for the first contradiction among the given options and the spec."""
    _check_mode(given.get("mode", spec.mode.kind), given)
    _check_health(given)
    _check_resources(spec, given)
    _check_ports(spec, given)
    both = set(_names(given, "cap_add")) & set(_names(given, "cap_drop"))
    if both:
        raise InvalidArgument(f"--cap-add and --cap-drop both name {min(both)}: choose one")


def _check_mode(mode: ServiceModeKind, given: Mapping[str, Any]) -> None:
    name = mode.name.lower().replace("_", "-")
    replicas, at_once = given.get("replicas"), given.get("max_concurrent")
    if replicas is not None and mode.everywhere:
        raise InvalidArgument(
            f"--replicas {replicas}: a {name} service has one task on every node; leave it out"
        )
    if replicas is not None and replicas > limits.replicas_max:
        raise InvalidArgument(f"--replicas {replicas}: at most {limits.replicas_max} are possible")
    if replicas == 0 and mode.job:
        raise InvalidArgument(
            "--replicas 0: a job has something to complete; `covey service stop` ends its tasks"
        )
    if at_once is not None and mode is not ServiceModeKind.REPLICATED_JOB:
        raise InvalidArgument(
            f"--max-concurrent {at_once}: the service is {name}, and this is of replicated jobs; leave it out"
        )
    rollout = next((option for option in sorted(given) if option.startswith(("update_", "rollback_"))), None)
    if mode.job and rollout:
        flag = rollout.replace("_", "-")
        raise InvalidArgument(
            f"--{flag}: an update of a {name} begins it anew as a whole, and nothing is rolled out; leave it out"
        )


def _check_health(given: Mapping[str, Any]) -> None:
    other = next((option for option in sorted(given) if option.startswith("health_")), None)
    if given.get("no_healthcheck") and other:
        flag = other.replace("_", "-")
        raise InvalidArgument(f"--no-healthcheck and --{flag} contradict each other; choose one")


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
    for place, port in enumerate(added):
        if port.published_port and any(port.meets(other) for other in added[:place]):
            name = f"{port.published_port}/{port.protocol.name.lower()}"
            raise InvalidArgument(f"--publish {name} is given twice: a port can lead to one place only")
    if mode is EndpointMode.DNSRR and given.get("affinity", spec.endpoint.affinity) is not Affinity.NONE:
        raise InvalidArgument("--affinity client needs a virtual address: use --endpoint-mode vip")
