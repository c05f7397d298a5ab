"""How much a job is to do."""

from covey.model.specs import ServiceMode


def extent(mode: ServiceMode) -> tuple[int, int]:
    """How many completions a replicated job is to have, and how many tasks it may run at a time."""
    total = mode.total_completions or mode.max_concurrent or 1
    return total, mode.max_concurrent or total
