"""Asking again while a new leader is being found."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from covey import limits
from covey.errors import NotLeader, Unavailable, Unreachable

Result = TypeVar("Result")


# Errors after which a change was certainly not made.
NOT_DONE = (NotLeader, Unreachable)


async def patiently(
    ask: Callable[[], Awaitable[Result]], passing: tuple[type[Unavailable], ...] = (Unavailable,)
) -> Result:
    """Ask until there is an answer, for a bounded time; after the errors in `passing`, it is safe to ask again.

    A manager that has waited by itself, and then says that there is no leader, has used the time up.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.failover_patience_s
    while True:
        try:
            return await ask()
        except passing as error:
            if loop.time() >= deadline:
                if isinstance(error, NotLeader):  # managers said this to each other: it names no remedy
                    raise Unavailable(
                        f"no manager led for as long as this takes within {limits.failover_patience_s:g} s, so nothing "
                        "was done; `covey cluster status` shows how they stand, and the command may be repeated"
                    ) from error
                raise
        await asyncio.sleep(limits.failover_pause_ms / 1000)
