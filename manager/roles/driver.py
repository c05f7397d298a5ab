"""Runs the planner on the leader, and does what it says, one change at a time."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec.structs import replace

from covey import limits
from covey.errors import CoveyError, NotLeader, Refused, Unavailable
from covey.model.objects import Node
from manager.store.draft import Draft
from manager.store.driver import Store, Watch
from manager.store.watch import Lagged

from . import quorum
from .planner import Change, Plan, PromoteLearner, RemoveMember, SetRole, TransferLeadership, plan
from .seam import Group, facts_of

log = logging.getLogger(__name__)


async def run_roles(store: Store, group: Group | None) -> None:
    """Bring roles and membership about until cancelled, or until the store is closed. For the leader.

    Without a group (the log is kept elsewhere) roles are all there is to bring about.
    """
    while True:
        watch = store.watch()
        try:
            await _run(store, group, watch)
            return
        except Lagged:
            log.debug("too many changes at once; looking at the nodes anew")
        finally:
            watch.close()


async def _run(store: Store, group: Group | None, watch: Watch) -> None:
    told: tuple[str, ...] = ()
    while True:
        wanted = plan(store, facts_of(group) if group is not None else None)
        if wanted.waiting != told:
            told = wanted.waiting
            for sentence in told:
                log.info("%s", sentence)
        await perform(store, group, wanted)
        look_ms = limits.roles_look_ms if wanted.settled else limits.roles_look_busy_ms
        if not await _until_nodes_change(watch, look_ms / 1000):
            return


async def _until_nodes_change(watch: Watch, most_s: float) -> bool:
    """Wait for a change of a node, at most so long; false once nothing will change any more."""
    try:
        async with asyncio.timeout(most_s):
            while commits := await watch.batch():
                if any(change.kind is Node for commit in commits for change in commit.changes):
                    return True
            return False
    except TimeoutError:
        return True


async def perform(store: Store, group: Group | None, wanted: Plan) -> None:
    """Do what a plan says. What fails is planned anew at the next look, if it is still right then."""
    for step in wanted.roles:
        await _try(f"node {step.node_id}", store.update(_role(step)))
    if group is not None and wanted.change is not None:
        await _try(_said(wanted.change), _change(group, wanted.change))


async def _try(what: str, act: Coroutine[Any, Any, None]) -> None:
    try:
        async with asyncio.timeout(limits.membership_change_timeout_s):
            await act
    except TimeoutError:
        log.warning("%s: no answer in %s s; trying again", what, limits.membership_change_timeout_s)
    except (NotLeader, Unavailable) as error:
        log.info("%s: %s", what, error)
    except Refused as error:
        log.warning("%s: %s", what, error)
    except CoveyError as error:
        log.error("%s: %s", what, error)


def _role(step: SetRole) -> Callable[[Draft], None]:
    def write(draft: Draft) -> None:
        node = draft.get(Node, step.node_id)
        if node is not None and node.spec.role is step.role and node.role is not step.role:
            draft.put(replace(node, role=step.role))

    log.info("node %s becomes a %s: %s", step.node_id, step.role.name.lower(), step.reason)
    return write


async def _change(group: Group, change: Change) -> None:
    present = group.membership
    match change:
        case RemoveMember(id=id, reason=reason):
            if present.get(id) is not None and quorum.can_remove(present, id, quorum.present(group.status())):
                log.info("member %s leaves the group: %s", id, reason)
                await group.change(quorum.without(present, id))
        case PromoteLearner(id=id, reason=reason):
            member = present.get(id)
            if member is not None and not member.voter:
                log.info("member %s votes from now on: %s", id, reason)
                await group.change(quorum.with_member(present, replace(member, voter=True)))
        case TransferLeadership(to=to, reason=reason):
            log.info("handing leadership to member %s: %s", to, reason)
            await group.transfer(to)


def _said(change: Change) -> str:
    match change:
        case RemoveMember(id=id):
            return f"the removal of member {id}"
        case PromoteLearner(id=id):
            return f"the vote of member {id}"
        case TransferLeadership(to=to):
            return f"the transfer of leadership to member {to}"
