"""Back-off: what keeps failing soon after its start is started again later and later.

The first few times the policy's delay is all; from then on it doubles each time, up to a bound. How often it
was is written into each task (`Task.quick_ends`), so a new leader goes on counting. A task that ran for a
while, one that completed, and a new restart generation begin the count anew.
"""

from covey import limits
from covey.model.objects import Task
from covey.model.states import TaskState

from .places import Scene


def quick_ends(scene: Scene, last: Task) -> int:
    """Count the quick failures in a row of which `last`, which ended by itself, may be one."""
    if last.status.state is TaskState.COMPLETE or last.id in scene.memory.stable:
        return 0
    return last.quick_ends + 1


def delay_ms(scene: Scene, quick: int) -> int:
    """How long the next start is held back after so many quick failures in a row."""
    asked_ms = scene.revision.spec.task.restart.delay_ns // 1_000_000
    doublings = quick - limits.restart_backoff_failures
    if doublings <= 0:
        return asked_ms
    most_ms = limits.restart_backoff_ms_max
    # Capped before it is computed: a thousand failures are a number of a thousand bits.
    backed_off_ms = max(asked_ms, limits.restart_backoff_ms_min) << min(doublings, most_ms.bit_length())
    return max(min(backed_off_ms, most_ms), asked_ms)


def words(last: Task, quick: int, held_back_ms: int) -> str:
    """Say what a task waits for that follows `last`; true for as long as it stands there."""
    times = "" if quick == 1 else f", {quick} times in a row"
    status = last.status
    code = "" if status.exit_code is None else f"exit code {status.exit_code}"
    how = status.err or code or status.state.name.lower()
    return f"restarting {_span(held_back_ms)} after it ended{times}: {how}"


def _span(ms: int) -> str:
    minutes, seconds = divmod(round(ms / 1000), 60) if ms >= 120_000 else (0, ms / 1000)
    return " ".join(f"{amount:g} {unit}" for amount, unit in ((minutes, "min"), (seconds, "s")) if amount)


def is_stable(before: Task, after: Task) -> bool:
    """Tell from a change of a task whether it ran long enough to have come up for good.

    Both times are from the clock of the task's own node.
    """
    ran_ns = after.status.at_ns - before.status.at_ns
    return before.status.state is TaskState.RUNNING and ran_ns >= limits.restart_stable_ms * 1_000_000
