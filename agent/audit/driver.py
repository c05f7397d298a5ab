"""Audits of this node: when a manager asks, and now and then. One at a time."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from random import Random

from agent.dns.seam import Names
from agent.images.seam import Images
from agent.network.seam import Networks
from agent.runtime.seam import Runtime
from agent.session.messages import AuditAnswer, AuditQuestion
from covey import limits
from covey.errors import CoveyError
from covey.model.audit import AuditReport

from . import judging
from .known import Known, processes
from .look import Look, together

log = logging.getLogger(__name__)


class Auditor:
    """Looks at all parts of the node. `known` gives what the agent knows of its tasks at this moment."""

    def __init__(
        self,
        runtime: Runtime,
        images: Images,
        networks: Networks,
        names: Names,
        known: Callable[[], Known],
    ) -> None:
        self._runtime = runtime
        self._images = images
        self._networks = networks
        self._names = names
        self._known = known
        self._turn = asyncio.Lock()
        self.asked = 0  # that somebody waits for
        self.settle_ms = limits.audit_settle_ms

    async def answer(self, question: AuditQuestion) -> AuditAnswer:
        """Audit for a manager; never raises what the node may be guilty of."""
        if self.asked >= limits.audits_at_once:
            return AuditAnswer(
                question.audit_id, refusal=f"it has {self.asked} audits to make already; ask later"
            )
        self.asked += 1
        try:
            async with asyncio.timeout(limits.audit_node_s):
                return AuditAnswer(question.audit_id, await self.audit(repair=question.repair))
        except TimeoutError:
            return AuditAnswer(
                question.audit_id,
                refusal=f"the audit took longer than {limits.audit_node_s:g} s; is the node too busy?",
            )
        except (CoveyError, OSError) as error:
            return AuditAnswer(question.audit_id, refusal=str(error) or repr(error))
        except Exception as error:  # tasks do not depend on audits
            log.exception("the audit failed by our own fault")
            return AuditAnswer(question.audit_id, refusal=f"internal error: {error!r}")
        finally:
            self.asked -= 1

    async def audit(self, *, repair: bool = False) -> AuditReport:
        """Look, twice if there is something; with `repair` put right what may be, and look again."""
        async with self._turn:
            found = await self._standing()
            left: Look | None = None
            if repair and found.findings:
                log.warning("repairing %d things found amiss", len(found.findings))
                complaints = await self._repair()
                left = await self._standing()
                left = replace(left, remarks=(*complaints, *left.remarks))
            known = self._known()
            remarks, unused = await self._unused(known)
            shown = left or found
            shown = replace(shown, remarks=(*shown.remarks, *remarks))
            if left is None:
                found = shown
            else:
                left = shown
            return judging.report(found, left, known, unused, time.time_ns())

    async def periodic(self, dice: Random, tell: Callable[[AuditReport], None]) -> None:
        """Audit now and then, at times no other node chooses too; without end."""
        while True:
            await asyncio.sleep(limits.audit_period_s * dice.uniform(0.5, 1.5))
            try:
                told = await self.audit()
            except (CoveyError, OSError) as error:
                log.warning("the node cannot audit itself now: %s", error)
                continue
            except Exception:
                log.exception("the node's audit of itself failed by our own fault")
                continue
            for each in told.findings:
                log.warning("amiss: %s %s: %s", each.kind, each.place, each.words)
            if told.findings:
                log.warning(
                    "%d things are amiss; `covey system audit --repair` puts right", len(told.findings)
                )
            else:
                log.info("the node has audited itself: nothing amiss, %d things compared", told.compared)
            tell(told)

    async def _standing(self) -> Look:
        first = await self._look()
        if not first.findings:
            return first
        await asyncio.sleep(self.settle_ms / 1000)
        return judging.standing(first, await self._look())

    async def _look(self) -> Look:
        parts: tuple[tuple[str, Callable[[], Coroutine[None, None, Look]]], ...] = (
            ("containers", self._containers),
            ("what containers left behind", lambda: self._runtime.audit(self._is_known)),
            ("networks", self._look_at_networks),
            ("names", self._names.audit),
        )
        return together([await self._part(*each) for each in parts])

    async def _part(self, what: str, look: Callable[[], Coroutine[None, None, Look]]) -> Look:
        """One part's look, or a remark that it cannot look."""
        try:
            return await look()
        except (CoveyError, OSError) as error:
            return Look(remarks=(f"{what} cannot be looked at: {error}",))

    async def _containers(self) -> Look:
        observed = await self._runtime.list()
        return judging.containers(self._known(), observed)  # as of now: a container comes after its record

    async def _look_at_networks(self, *, repair: bool = False) -> Look:
        observed, networked = await self._runtime.list(), self._known().networked
        living = processes(each for each in observed if each.id in networked)
        return await self._networks.audit(repair=repair, processes=living)

    def _is_known(self, task_id: str) -> bool:
        return task_id in self._known().tasks

    async def _unused(self, known: Known) -> tuple[tuple[str, ...], tuple[int, int]]:
        try:
            unused = await self._images.unused(sorted(known.images))
        except (CoveyError, OSError) as error:
            return (f"images cannot be looked at: {error}",), (0, 0)
        return (), (unused.images, unused.bytes)

    async def _repair(self) -> list[str]:
        """Have each part make what should be; returns what could not be done."""
        complaints = []
        steps: tuple[tuple[str, Callable[[], Coroutine[None, None, object]]], ...] = (
            ("containers", self._remove_strays),
            ("what containers left behind", lambda: self._runtime.clear(self._is_known)),
            ("networks", lambda: self._look_at_networks(repair=True)),
            ("names", lambda: self._names.audit(repair=True)),
        )
        for what, step in steps:
            try:
                await step()
            except (CoveyError, OSError) as error:
                log.error("%s cannot be repaired: %s", what, error)
                complaints.append(f"{what} cannot be repaired: {error}")
        return complaints

    async def _remove_strays(self) -> None:
        for each in await self._runtime.list():
            if not self._is_known(each.id):
                log.warning("container %s belongs to no task here and is removed", each.id)
                await self._runtime.remove(each.id)
