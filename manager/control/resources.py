"""Are the resources that a service asks for sound in themselves?"""

from covey import limits
from covey.model import generic
from covey.model.specs import GenericResource, ResourceRequirements, Resources

from .refusal import check_not_negative, check_unique, refuse


def check_resources(resources: ResourceRequirements) -> None:
    """Check what a task may use, what is kept for it, and that the one is within the other."""
    cap, kept = resources.limits, resources.reservations
    for prefix, amounts in (("limit", cap), ("reserve", kept)):
        _check_amounts(prefix, amounts)
    if cap.nano_cpus and kept.nano_cpus > cap.nano_cpus:
        limit = f"is more than the limit of {cap.nano_cpus / 1e9}; reserve less, or raise the limit"
        raise refuse("reserve-cpu", kept.nano_cpus / 1e9, limit)
    if cap.memory_bytes and kept.memory_bytes > cap.memory_bytes:
        limit = f"is more than the limit of {cap.memory_bytes} bytes; reserve less, or raise the limit"
        raise refuse("reserve-memory", kept.memory_bytes, limit)
    if kept.pids:
        raise refuse("reserve-pids", kept.pids, "cannot be kept for a task; use a limit")
    if cap.generic:
        kinds = generic.describe(cap.generic)
        raise refuse(
            "limit-generic-resource", kinds, "cannot be a limit; reserve it: --generic-resource gpu=2"
        )
    for reservation in kept.generic:
        _check_reservation(reservation)
    kinds_asked = [reservation.kind for reservation in kept.generic]
    check_unique("generic-resource", kinds_asked, "is asked for twice; ask once, for all you need of it")


def _check_amounts(prefix: str, amounts: Resources) -> None:
    if amounts.nano_cpus and amounts.nano_cpus < limits.nano_cpus_min:
        remedy = "is less than 0.001 of a CPU, the least; 0 is none asked for"
        raise refuse(f"{prefix}-cpu", amounts.nano_cpus / 1e9, remedy)
    if amounts.memory_bytes and amounts.memory_bytes < limits.memory_bytes_min:
        least = limits.memory_bytes_min // 1024 // 1024
        remedy = f"bytes are less than the least, {least} MiB; 0 is none asked for"
        raise refuse(f"{prefix}-memory", amounts.memory_bytes, remedy)
    check_not_negative(f"{prefix}-pids", amounts.pids, "0 is no limit")


def _check_reservation(asked: GenericResource) -> None:
    if fault := generic.kind_fault(asked.kind):
        raise refuse("generic-resource", asked.kind, fault)
    if asked.value:
        remedy = "cannot be asked for by its name; ask for a number of its kind, and the scheduler chooses"
        raise refuse("generic-resource", f"{asked.kind}={asked.value}", remedy)
    if not 0 < asked.count <= limits.generic_resource_count_max:
        remedy = (
            f"is not a number from 1 to {limits.generic_resource_count_max}; leave out what is not needed"
        )
        raise refuse("generic-resource", f"{asked.kind}={asked.count}", remedy)
