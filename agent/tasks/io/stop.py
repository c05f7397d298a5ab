"""Stopping everything on a node, for host shutdown and for leaving a cluster."""

import asyncio
import logging
from collections.abc import Mapping

from agent.network.seam import Networks
from agent.runtime.seam import ContainerState, Observed, Runtime
from agent.tasks.container import signal_number
from agent.tasks.io.db import Stored
from agent.tasks.lifecycle import Act
from agent.tasks.restore import grace_ms
from covey import limits
from covey.errors import CoveyError

log = logging.getLogger(__name__)


def graces_ms(stored: Stored) -> dict[str, int]:
    """How long each task may take to end by itself."""
    revisions = {revision.id: revision for revision in stored.assigned.revisions}
    return {task.id: grace_ms(revisions.get(task.revision_id)) for task in stored.assigned.tasks}


async def stop_everything(runtime: Runtime, networks: Networks, graces: Mapping[str, int]) -> None:
    """Stop and remove every container and network of this node.

    Raises what the first failure was, once everything has been tried.
    """
    containers = await runtime.list()
    log.info("stopping %d containers", len(containers))
    ends = [_stop(runtime, each, graces.get(each.id, grace_ms(None))) for each in containers]
    failures = [e for e in await asyncio.gather(*ends, return_exceptions=True) if e is not None]
    await networks.reconcile((), (), ())
    for failure in failures:
        log.error("%s", failure)
    if failures:
        raise failures[0]


async def _stop(runtime: Runtime, container: Observed, grace: int) -> None:
    if container.state is ContainerState.RUNNING:
        for number, wait_ms in ((signal_number(container.stop_signal), grace), (_KILL, _KILL_WAIT_MS)):
            try:
                await runtime.signal(container.id, number)
                async with asyncio.timeout(wait_ms / 1000):
                    await runtime.wait(container.id)
                break
            except TimeoutError:
                log.info("container %s goes on after signal %d", container.id, number)
            except CoveyError as error:  # removing it kills it too
                log.warning("container %s: to %s failed: %s", container.id, Act.SIGNAL, error)
                break
    await runtime.remove(container.id)


_KILL = signal_number("KILL")
_KILL_WAIT_MS = limits.task_retry_delay_ms
