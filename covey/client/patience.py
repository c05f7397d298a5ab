"""Asking again while a new leader is being found."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from covey import limits
from covey.errors import Unavailable

Result = TypeVar("Result")


async def patiently(ask: Callable[[], Awaitable[Result]]) -> Result:
    """Ask until there is an answer, for a bounded time; only for what is safe to be asked twice.

    A manager that has waited by itself, and then says that there is no leader, has used the time up.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.failover_patience_s
    while True:
        try:
            return await ask()
        except Unavailable:
            if loop.time() >= deadline:
                raise
        await asyncio.sleep(limits.failover_pause_ms / 1000)
