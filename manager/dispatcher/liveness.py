"""Which nodes are alive: signs of life in, `MarkDown` out.

Any message of an agent is a sign of life. A node whose deadline passes is down, unless it was we who
slept: a manager that was not scheduled for a while hears nobody, so the length of its own stall is given
to every node on top (docker swarm's false alarms under load are what this avoids).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from covey import limits
from covey.machine import Machine, Tick


@dataclass(frozen=True, slots=True)
class Heard:
    """A node gave a sign of life."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Expected:
    """A node is thought alive and has a first grace period to say so (after this manager started)."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Left:
    """A node's connection was closed at its end: its host lives, and its agent may be starting anew."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A node is gone from the cluster, or known to be down."""

    node_id: str


@dataclass(frozen=True, slots=True)
class MarkDown:
    """Ask the driver to commit that a node is down."""

    node_id: str


@dataclass(slots=True)
class Liveness:
    """A deadline per node believed alive; every deadline lies in the future of `now_ms`."""

    period_ms: int = limits.heartbeat_period_ms
    now_ms: int = 0
    deadline_ms: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def grace_ms(self) -> int:
        """How long a node may be silent."""
        return self.period_ms * limits.heartbeat_grace_periods

    def step(self, event: Heard | Expected | Left | Forgotten | Tick) -> Sequence[MarkDown]:
        """Feed one event; return the nodes whose silence has lasted too long, in order of their ids."""
        match event:
            case Heard(node_id):
                self.deadline_ms[node_id] = self.now_ms + self.grace_ms
            case Expected(node_id):
                # Agents that lost their manager may first try one that is dead, and come back with backoff.
                attempt_ms = limits.manager_answer_ms + limits.search_pause_ms_max
                self.deadline_ms[node_id] = self.now_ms + self.grace_ms + 2 * attempt_ms
            case Left(node_id):
                # Only a host that lives closes a connection; one without power or link is merely silent.
                self.deadline_ms[node_id] = self.now_ms + max(self.grace_ms, limits.agent_restart_grace_ms)
            case Forgotten(node_id):
                self.deadline_ms.pop(node_id, None)
            case Tick(now_ms):
                return self._expire(now_ms)
        return ()

    def _expire(self, now_ms: int) -> Sequence[MarkDown]:
        assert now_ms >= self.now_ms, "time runs forward"
        stall_ms = now_ms - self.now_ms - self.period_ms
        self.now_ms = now_ms
        if stall_ms > 0:
            self.deadline_ms = {node: deadline + stall_ms for node, deadline in self.deadline_ms.items()}
        late = sorted(node for node, deadline in self.deadline_ms.items() if deadline <= now_ms)
        for node_id in late:
            del self.deadline_ms[node_id]
        return [MarkDown(node_id) for node_id in late]


_: type[Machine[Heard | Expected | Left | Forgotten, MarkDown]] = Liveness


def heartbeat_period_ms(nodes: int, wanted_ms: int) -> int:
    """Return the period that keeps `nodes` agents below the number of heartbeats a manager takes."""
    return max(wanted_ms, nodes * 1000 // limits.heartbeats_per_s_max)
