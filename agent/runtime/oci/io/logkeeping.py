"""Having logs begun anew that have reached their bound (see `logs`)."""

import asyncio
import logging
from collections.abc import Callable, Iterable

from agent.runtime.oci import logs
from agent.runtime.oci.bundle import Bundle, Record
from covey import limits

from .conmon import reopen_log

_log = logging.getLogger(__name__)
_REOPEN_TRIES = 50
_REOPEN_PAUSE_S = 0.002


async def keep_logs(running: Callable[[], Iterable[tuple[Bundle, Record]]]) -> None:
    """Look at the logs of the containers that run, now and then, without end."""
    while True:
        await asyncio.sleep(limits.container_log_check_ms / 1000)
        for bundle, record in list(running()):
            try:
                if logs.hold(bundle, record):
                    reopen_log(str(bundle.control))
                    await _hold_new_log(bundle, record)
            except OSError as error:  # a full disk, say; the others' logs must not grow for it
                _log.warning("the log of container %s cannot be begun anew: %s", record.id, error)


async def _hold_new_log(bundle: Bundle, record: Record) -> None:
    for _ in range(_REOPEN_TRIES):
        if logs.is_replaced(bundle):
            logs.hold(bundle, record)
            return
        await asyncio.sleep(_REOPEN_PAUSE_S)
