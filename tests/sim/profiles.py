"""What kinds of runs there are beside those of managers alone: what people do in them, and what goes wrong."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.sim import orders
from tests.sim.client import Client

if TYPE_CHECKING:
    from tests.sim.faults import Faults

ORCHESTRATION = ("rollout", "drain", "jobs")
WITH_AGENTS = ("cluster", *ORCHESTRATION)

Wish = Callable[[Client], None]

_TALK: tuple[Wish, ...] = (Client.write, Client.read)
_WISHES: dict[str, tuple[tuple[int, Wish], ...]] = {
    "rollout": (
        (4, orders.create),
        (6, orders.change_image),
        (1, orders.mend),
        (2, orders.scale),
        (1, orders.roll_back),
        (1, orders.let_go_on),
        (1, orders.restart),
        (1, orders.stop_or_start),
        (1, orders.remove),
    ),
    "drain": (
        (3, orders.create),
        (5, orders.change_availability),
        (1, orders.change_label),
        (1, orders.change_image),
        (1, orders.mend),
        (1, orders.scale),
        (1, orders.stop_or_start),
    ),
    "jobs": (
        (4, orders.create_job),
        (1, orders.change_image),
        (1, orders.restart),
        (1, orders.stop_or_start),
        (1, orders.remove),
        (1, orders.change_availability),
    ),
}


def wishes_of(profile: str, changes: int) -> tuple[Wish, ...]:
    """What people wish for, each as often as it is to be drawn."""
    if profile in _WISHES:
        return _TALK + tuple(wish for times, wish in _WISHES[profile] for _ in range(times))
    wishes = (Client.write,) * 5 + (Client.read,) * 5 + (Client.promote_or_demote,) * changes
    return wishes + (Client.create,) * 2 + (Client.scale,) if profile == "cluster" else wishes


def strike_nodes(faults: "Faults") -> None:
    """Set the character of a run that is about orchestration: fewer wishes, for longer, and nodes that fail."""
    dice, profile = faults.dice, faults.world.profile
    faults.agents, faults.nodes, faults.managers, faults.changes = True, dice.choice((3, 4, 5)), 3, 0
    faults.for_ms, faults.pause_ms = dice.choice((15_000, 30_000)), dice.choice((1500, 3000))
    faults.wish_pause_ms, faults.services_max = (200.0, 3_000.0), 4
    faults.world.network.stream_delay_ms_max = 300.0
    nodes, cables, leaders = (
        [faults.lose_node] * 4 + [faults.restart_agent] * 2,
        [faults.cut_agent] * 4 + [faults.isolate] * 2 + [faults.cut_one_way],
        [faults.crash] * 4 + [faults.hand_over] * 2 + [faults.stall, faults.slow_disk],
    )
    mixed = {
        "rollout": [*nodes, faults.cut_agent, faults.crash],
        "drain": [*cables, faults.restart_agent, faults.crash],
        "jobs": [*leaders, faults.lose_node, faults.cut_agent],
    }
    faults.kinds = mixed[profile] + [faults.heal] * 3
