"""How far a service is, at one moment, as far as who waits for it needs to know."""

from dataclasses import dataclass

from covey.client.views import ServiceDetail
from covey.model.states import TaskState


@dataclass(frozen=True, slots=True)
class Place:
    """One slot (or node): the state of its task, and what is wrong with it."""

    name: str
    state: TaskState
    good: bool
    error: str = ""
    past: bool = False
    """The error is that of the task before this one."""
    spent: bool = False
    """Its task has ended, and the restart policy lets no other follow."""
    loops: int = 0
    """So often in a row its tasks ended soon after they had started; 0 if that was not often enough to say so."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far the service is. `failed` says, in words, that waiting longer is of no use.

    `overall` is the line that counts; what is `final` once it has converged need not be watched any longer.
    """

    places: tuple[Place, ...]
    desired: int
    converged: bool
    failed: str = ""
    overall: str = ""
    final: bool = False

    @property
    def running(self) -> int:
        """How many places have what was asked for."""
        return sum(place.good for place in self.places)


def removed(detail: ServiceDetail) -> str:
    """Say so if the service is being removed."""
    return "the service is being removed" if detail.service.pending_delete else ""


def loop_text(place: Place, service: str) -> str:
    """Say of a task that fails again and again what to do."""
    last = f", last: {place.error}" if place.error else ""
    return (
        f"task {service}.{place.name} ends soon after each start ({place.loops} times in a row{last}); "
        f"`covey service logs {service}` shows what it wrote, and `covey service why {service}` what goes on"
    )
