"""The one shape every state machine in this repository has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

Event_contra = TypeVar("Event_contra", contravariant=True)
Effect_co = TypeVar("Effect_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed. `now_ms`, from a monotonic clock, is the only clock a machine ever sees."""

    now_ms: int


class Machine(Protocol[Event_contra, Effect_co]):
    """Pure: an event goes in, state changes, effects come out."""

    def step(self, event: Event_contra | Tick, /) -> Sequence[Effect_co]:
        """Feed one event; return what the driver must do, in order."""
        ...
