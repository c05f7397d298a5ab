"""Carrying out what the tasks machine decided: one coroutine per action, its end an event."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agent.dns.seam import Names
from agent.health.checks import Probe, Probed
from agent.images.seam import Images
from agent.network.seam import Networks
from agent.runtime.seam import HOST_NETNS, ExecResult, Exit, Runtime
from agent.tasks.events import (
    Action,
    Attach,
    Close,
    Create,
    Discard,
    Drain,
    Exited,
    Failure,
    Finished,
    Pull,
    Release,
    Result,
    Signal,
    Start,
    Trouble,
)
from agent.tasks.lifecycle import Act
from agent.tasks.tables import Applied, Apply
from covey import limits
from covey.errors import AlreadyExists, CoveyError, NotFound, PermissionDenied, Refused

log = logging.getLogger(__name__)

_ACTS: dict[type[Action], Act] = {
    Pull: Act.PULL,
    Attach: Act.ATTACH,
    Create: Act.CREATE,
    Start: Act.START,
    Close: Act.CLOSE,
    Drain: Act.DRAIN,
    Release: Act.RELEASE,
    Discard: Act.DISCARD,
}


class Disk(Protocol):
    """What must be durable before anything is done."""

    async def settled(self, ticket: int) -> None:
        """Wait until what was put up to `ticket` is durable."""
        ...


@dataclass(frozen=True, slots=True)
class Hands:
    """The parts of the node that tasks need. `post` takes the events that come of them."""

    runtime: Runtime
    images: Images
    networks: Networks
    names: Names
    disk: Disk
    post: Callable[[Finished | Exited | Probed | Applied], None]

    async def perform(self, action: Action, ticket: int) -> None:
        """Carry out `action`; post one Finished.

        What cannot be undone (a start, and removing what shows how a task ended) first waits until
        everything decided before it is on disk; the rest is merely done again after a crash. Cancelled, it
        posts nothing: whoever cancels it does.
        """
        act = action.act if isinstance(action, Signal) else _ACTS[type(action)]
        result: Result = None
        failure: Failure | None
        try:
            failure = await self._durable(ticket) if _is_final(action) else None
            if failure is None:
                async with asyncio.timeout(_bound_s(action)):
                    result = await self._do(action)
        except TimeoutError:
            text = f"to {act} took longer than {limits.task_action_timeout_s:g} s"
            failure = Failure(Trouble.PASSING, text)
        except (CoveyError, OSError) as error:
            failure = _failure(error, act)
        except Exception as error:
            log.exception("task %s: to %s failed by our own fault", action.task_id, act)
            failure = Failure(Trouble.FATAL, f"internal error while trying to {act}: {error!r}")
        if failure is not None:
            log.info("task %s: cannot %s: %s", action.task_id, act, failure.text)
        self.post(Finished(action.task_id, act, result, failure))

    async def _durable(self, ticket: int) -> Failure | None:
        try:
            await self.disk.settled(ticket)
        except CoveyError as error:
            return Failure(Trouble.NOT_BEGUN, str(error))
        return None

    async def _do(self, action: Action) -> Result:
        match action:
            case Pull(_, reference, auth):
                return await self.images.ensure(reference, auth)
            case Attach(_, sandbox):
                return await self.networks.attach(sandbox) if sandbox is not None else HOST_NETNS
            case Create():
                return await self._create(action)
            case Start(task_id):
                await self.runtime.start(task_id)
            case Close(task_id):
                await self.networks.close_ports(task_id)
            case Drain():
                await self._drain(action)
            case Signal(task_id, _, number):
                await self.runtime.signal(task_id, number)
            case Release(task_id):
                self.names.drop_resolver(task_id)
                await self.networks.detach(task_id)
            case Discard(task_id):
                await self.runtime.remove(task_id)
        return None

    async def _create(self, action: Create) -> int:
        """Make the container while the DNS server opens its sockets."""
        if action.resolver is not None:
            self.names.set_resolver(action.resolver)
        try:
            pid = await self.runtime.create(action.container)
        except AlreadyExists:  # half of a former try; never started, or the agent would know it
            await self.runtime.remove(action.task_id)
            pid = await self.runtime.create(action.container)
        if action.resolver is None:
            return pid
        try:
            await self.names.ready(action.task_id)
        except CoveyError:
            await self.runtime.remove(action.task_id)
            raise
        return pid

    async def _drain(self, drain: Drain) -> None:
        """Wait for the end of the container's connections, as long as they may go on."""
        if not drain.withdrawn:
            log.warning(
                "task %s: stops though some node may still send it requests, which would be lost: the managers "
                "did not say within %d ms that none does; is a node too busy, or without its agent?",
                *(drain.task_id, limits.withdrawal_wait_ms),
            )
        try:
            async with asyncio.timeout(drain.linger_ms / 1000):
                await self.networks.quiet(drain.pid)
        except TimeoutError:
            log.info(
                "task %s: connections go on after %d ms, and are ended with it",
                *(drain.task_id, drain.linger_ms),
            )

    async def probe(self, probe: Probe) -> None:
        """Run a health check; post one Probed."""
        result: ExecResult | None = None
        trouble = ""
        try:
            result = await self.runtime.exec(probe.task_id, probe.argv, probe.timeout_ms / 1000)
        except (CoveyError, OSError) as error:
            trouble = str(error) or repr(error)
            log.info("task %s: its health check cannot be run: %s", probe.task_id, trouble)
        except Exception as error:
            log.exception("task %s: to check its health failed by our own fault", probe.task_id)
            trouble = f"internal error: {error!r}"
        self.post(Probed(probe.task_id, result, trouble))

    async def watch(self, task_id: str) -> None:
        """Post Exited when the container ends, however long that takes."""
        while True:
            try:
                exit = await self.runtime.wait(task_id)
            except NotFound as error:
                exit = Exit(None, reason=str(error))
            except (CoveyError, OSError) as error:
                log.warning("task %s: its end cannot be waited for, trying again: %s", task_id, error)
                await asyncio.sleep(limits.task_retry_delay_ms / 1000)
                continue
            self.post(Exited(task_id, exit))
            return

    async def grant(self, apply: Apply) -> None:
        """Tell the DNS server and the kernel what holds for a network; post one Applied."""
        wish, error = apply.wish, ""
        try:
            if wish.gone:
                self.names.drop_table(apply.network_id)
                await self.networks.forget(apply.network_id)
            if wish.network is not None:
                await self.networks.learn(wish.network)
            if wish.table is not None:
                self.names.set_table(wish.table)
                await self.networks.apply(wish.table)
        except (CoveyError, OSError) as fault:
            error = str(fault) or repr(fault)
        except Exception as fault:
            log.exception("network %s: to apply its table failed by our own fault", apply.network_id)
            error = f"internal error: {fault!r}"
        self.post(Applied(apply.network_id, error))

    async def sweep(self, container_id: str) -> None:
        """Remove a container of no task here. If that fails, the next start of the agent tries again."""
        try:
            await self.runtime.remove(container_id)
        except (CoveyError, OSError) as error:
            log.error("container %s of no task cannot be removed: %s", container_id, error)


def _is_final(action: Action) -> bool:
    """Whether no crash may make this be done again, or leave it done without a word."""
    return isinstance(action, Start) or (isinstance(action, Discard) and not action.forgotten)


def _bound_s(action: Action) -> float | None:
    """How long an action may take; a pull is bounded by the image store, and draining by the service."""
    return None if isinstance(action, Pull | Drain) else limits.task_action_timeout_s


def _failure(error: Exception, act: Act) -> Failure:
    text = str(error) or repr(error)
    if isinstance(error, Refused):
        denied = act is Act.PULL and isinstance(error, PermissionDenied)
        return Failure(Trouble.FATAL, text, denied=denied)
    return Failure(Trouble.PASSING, text)
