"""The steps of beginning that wait: for the store, and for other managers."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from msgspec.structs import replace

from covey import limits
from covey.errors import CoveyError, FailedPrecondition
from covey.io import files
from covey.model import bootstrap, recovery
from covey.model.objects import Cluster, Object
from manager.raft.entry import NOBODY, Membership
from manager.raft.seam import Removed
from manager.roles import quorum
from manager.roles.seam import Group
from manager.store.draft import Draft
from manager.store.driver import Store
from manager.store.kinds import Kind

from .client import AskEpoch, Candidate, ask_epochs
from .content import batches, go_on_alone, raised
from .modes import Found, Mode, Recover
from .outdated import outdated

log = logging.getLogger(__name__)


async def write_content(store: Store, state: Path, mode: Mode) -> None:
    """Write what a founding or a recovery puts into the store, then remove the file that ordered it.

    For a manager that leads and has applied everything: nothing but this may write meanwhile. In the other modes
    there is nothing to do.
    """
    match mode:
        case Found(content=content):
            path = bootstrap.path_in(state)
            if path.exists():
                await _found(store, content)
                files.remove(path)
        case Recover():
            # As it is now: this manager may lead a second time, long after it went on alone.
            order = recovery.load(recovery.path_in(state))
            if order is not None:
                await _recover(store, state, order)
                files.remove(recovery.path_in(state))
        case _:
            pass


async def _found(store: Store, content: bootstrap.Bootstrap) -> None:
    if store.get(Cluster, content.cluster.id) is not None:
        return
    for batch in batches(content.objects()):

        def write(draft: Draft, batch: Sequence[Object] = batch) -> None:
            for item in batch:
                kind: Kind = type(item)
                if draft.get(kind, item.id) is None:
                    draft.put(item)

        await store.update(write)
    log.info("the store has its first content, cluster %s", content.cluster.id)


async def _recover(store: Store, state: Path, order: recovery.RecoveryOrder) -> None:
    cluster = store.get(Cluster, order.cluster_id)
    if cluster is None:
        raise FailedPrecondition(
            f"{state}/manager knows nothing of cluster {order.cluster_id}, so nothing can go on from here; run "
            "`covey init --force-new-cluster` on another manager, or restore a backup"
        )
    if not order.epoch:
        order = replace(order, epoch=raised(cluster.epoch, time.time_ns()))
        files.write_atomic(recovery.path_in(state), recovery.encode(order))
    if await store.update(lambda draft: go_on_alone(draft, order.node_id, order.epoch)):
        log.warning("this manager goes on alone, in epoch %s; the others' nodes are workers now", order.epoch)


async def keep_address(
    group: Group,
    own: Candidate,
    managers: Callable[[], Sequence[str]],
    ask: Callable[[str], Awaitable[object]],
) -> None:
    """See that the group knows this member, which starts with a log, at its present address; returns once it does.

    It does if a leader is heard, and has this address in the membership. Otherwise the managers are asked to let this
    one in, as a new one asks (`ask`, one by its address): harmless for a member, and one that was removed while it was
    away learns it in no other way if all others have the smaller ids, and so are the ones to dial. Raises `Removed`.
    """
    await asyncio.sleep(limits.member_silent_ms_max / 1000 if _is_known(group, own) else 0)
    backoff_ms, told = limits.join_backoff_ms_min, ""
    while not (_is_known(group, own) and group.status().standing.leader != NOBODY):
        members = [member.address for member in group.membership.members if member.id != own.raft_id]
        reason = await _tell(dict.fromkeys((own.address, *members, *managers())), ask)
        if reason != told:
            told = reason
            log.info("asked the managers to know this one at %s: %s", own.address, told or "they do")
        await asyncio.sleep(backoff_ms / 1000)
        backoff_ms = min(2 * backoff_ms, limits.join_backoff_ms_max)


def _is_known(group: Group, own: Candidate) -> bool:
    known = group.membership.get(own.raft_id)
    return known is not None and known.address == own.address


async def _tell(addresses: Iterable[str], ask: Callable[[str], Awaitable[object]]) -> str:
    """Ask one manager after the other; give why none took it, or nothing."""
    reasons: list[str] = []
    for address in addresses:
        try:
            await ask(address)
        except Removed:
            raise
        except CoveyError as error:
            reasons.append(f"{address}: {error}")
        else:
            return ""
    return "; ".join(reasons)


async def require_current(group: Group, epoch: Callable[[], int], ask: AskEpoch) -> None:
    """Refuse to go on where the cluster went on without this manager; every wait is short.

    For a manager that starts with a log, before it serves: it may be one of those that a forced new cluster left
    behind, and together with others of them it would form the old cluster anew. Raises `FailedPrecondition`.
    """
    own_id, others = group.status().id, group.membership
    addresses = [member.address for member in others.members if member.id != own_id and member.address]
    for address, told in await ask_epochs(addresses, ask):
        if (reason := outdated(own_id, epoch(), address, told)) is not None:
            raise FailedPrecondition(reason)


async def watch_epoch(group: Group, epoch: Callable[[], int], ask: AskEpoch) -> None:
    """On the leader: ask members it does not hear, now and then, whether the cluster went on without it.

    Until cancelled; raises `FailedPrecondition` once one says so.
    """
    while True:
        await asyncio.sleep(limits.epoch_look_s)
        silent = _silent(group)
        if silent.members:
            for address, told in await ask_epochs([member.address for member in silent.members], ask):
                if (reason := outdated(group.status().id, epoch(), address, told)) is not None:
                    raise FailedPrecondition(reason)


def _silent(group: Group) -> Membership:
    status = group.status()
    answering = quorum.reachable(status)
    members = tuple(
        member for member in group.membership.members if member.id not in answering and member.address
    )
    return Membership(members)


def epoch_of(store: Store) -> int:
    """Give the epoch this manager's store is of; 0 before it knows a cluster."""
    return next((cluster.epoch for cluster in store.all(Cluster)), 0)
