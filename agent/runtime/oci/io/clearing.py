"""Clearing away: one thing that resists must not protect the others."""

from collections.abc import Callable, Coroutine, Iterable

from covey.errors import CoveyError, Unavailable

Step = Callable[[], Coroutine[None, None, None]]


async def all_of(steps: Iterable[Step]) -> None:
    """Take all steps, one after another; `Unavailable` at the end, with what went wrong in some."""
    complaints: list[str] = []
    for step in steps:
        try:
            await step()
        except (CoveyError, OSError) as error:
            complaints.append(str(error) or repr(error))
    if complaints:
        raise Unavailable("; ".join(complaints))
