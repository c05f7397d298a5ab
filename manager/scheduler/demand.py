"""What a task needs of a node, and what one that has a node has claimed of it."""

from msgspec import Struct

from covey.model.objects import Revision, Service, Task
from covey.model.states import Protocol, PublishMode, TaskState

Port = tuple[Protocol, int]


class Demand(Struct, frozen=True):
    """What each task of a revision reserves. `ports` are the node's own ports it publishes on."""

    nano_cpus: int = 0
    memory_bytes: int = 0
    ports: tuple[Port, ...] = ()


class Claim(Struct, frozen=True):
    """What one task has of its node. `active` tasks are meant to run; the others only have to end yet."""

    node_id: str
    service_id: str
    slot: int
    active: bool
    demand: Demand


def demand_of(revision: Revision, service: Service | None) -> Demand:
    """Say what a task of `revision` needs. Ports without a number have the one the service was given."""
    reserved = revision.spec.task.resources.reservations
    ports: list[Port] = []
    for port in revision.spec.endpoint.ports:
        if port.publish_mode is not PublishMode.HOST:
            continue
        number = port.published_port
        if not number and service is not None:
            given = (
                p.published_port
                for p in service.ports
                if (p.protocol, p.target_port, p.publish_mode)
                == (port.protocol, port.target_port, PublishMode.HOST)
            )
            number = next(given, 0)
        if number:
            ports.append((port.protocol, number))
    return Demand(reserved.nano_cpus, reserved.memory_bytes, tuple(ports))


def holds_node(task: Task) -> bool:
    """Tell whether a task takes up room on its node: it was assigned, and has not ended."""
    return bool(task.node_id) and TaskState.ASSIGNED <= task.status.state < TaskState.COMPLETE
