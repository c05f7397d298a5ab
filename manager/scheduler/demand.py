"""What a task needs of a node, and what one that has a node has claimed of it."""

from collections import Counter

from msgspec import Struct

from covey.model.objects import Revision, Service, Task
from covey.model.specs import GenericResource
from covey.model.states import Protocol, PublishMode, TaskState
from manager.allocator.ports import numbered

Port = tuple[Protocol, int, str]
"""A port of a node: its protocol, its number, and the one address it is published on, or "" for all."""


class Demand(Struct, frozen=True):
    """What each task of a revision reserves.

    `ports` are the node's own ports it publishes on, `generic` the kinds of generic resources and how many.
    """

    nano_cpus: int = 0
    memory_bytes: int = 0
    ports: tuple[Port, ...] = ()
    generic: tuple[tuple[str, int], ...] = ()


class Claim(Struct, frozen=True):
    """What one task has of its node. `active` tasks are meant to run; the others only have to end yet.

    `given` are its generic resources.
    """

    node_id: str
    service_id: str
    slot: int
    active: bool
    demand: Demand
    given: tuple[GenericResource, ...] = ()


def demand_of(revision: Revision, service: Service | None) -> Demand:
    """Say what a task of `revision` needs. Ports without a number have the one the service was given."""
    reserved = revision.spec.task.resources.reservations
    ports = [
        (port.protocol, port.published_port, port.published_address)
        for port in numbered(revision.spec.endpoint.ports, service)
        if port.publish_mode is PublishMode.HOST and port.published_port
    ]
    generic = Counter[str]()
    for each in reserved.generic:
        generic[each.kind] += each.count
    return Demand(
        reserved.nano_cpus, reserved.memory_bytes, tuple(dict.fromkeys(ports)), tuple(sorted(generic.items()))
    )


def holds_node(task: Task) -> bool:
    """Tell whether a task takes up room on its node: it was assigned, and has not ended."""
    return bool(task.node_id) and TaskState.ASSIGNED <= task.status.state < TaskState.COMPLETE
