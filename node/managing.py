"""Operations that concern managers: following a change of roles, leaving the group, starting it anew.

Each is safe to be interrupted anywhere and done again. What a host is stands in its certificate: a step
that changes it comes after all that must have been done before, and `Daemon.recover` does the rest.
"""

import asyncio
import logging
import time
from pathlib import Path

from msgspec.structs import replace

from covey import limits
from covey.errors import CoveyError, FailedPrecondition, Unavailable
from covey.identity import NodeIdentity, store
from covey.io import files
from covey.model import bootstrap, recovery, store_access
from covey.model.address import join_host_port
from covey.model.recovery import RecoveryOrder
from covey.model.states import NodeRole

from . import addresses, client, local_manager, membership, restoring
from .daemon import Daemon
from .membership import Membership

log = logging.getLogger(__name__)


async def follow_membership(daemon: Daemon, role: NodeRole, managers: tuple[str, ...]) -> None:
    """Make this node what the managers say it is to be, and remember where they are.

    The certificate decides: a manager's process is started once it says so, and ended once it no longer does.
    """
    known, identity = _member(daemon)
    record = replace(known, managers=managers or known.managers)
    if role is not identity.identity.role:
        log.info("this node is to be a %s", role.name.lower())
        renewed = await client.renew(identity, record.managers, role)
        if role is NodeRole.MANAGER:
            addresses.require_manager_ports()
            await daemon.fetch_store_access(renewed, record.managers)
        await daemon.become(record, renewed)
    elif record != known:
        await daemon.become(record, identity)


async def leave(daemon: Daemon, force: bool) -> None:
    """Take this host out of its cluster; a manager leaves the group of managers first.

    Raises `FailedPrecondition` for the only manager, and where the others cannot be told.
    """
    member = daemon.member
    if member is not None and member[1].identity.role is NodeRole.MANAGER:
        try:
            await _leave_group(daemon, *member)
        except CoveyError as error:
            if not force:
                raise
            log.error("leaving all the same: %s", error)
    await daemon.leave(force)


async def _leave_group(daemon: Daemon, known: Membership, identity: NodeIdentity) -> None:
    node_id = identity.identity.node_id
    try:
        told = await local_manager.status(daemon.run)
    except (CoveyError, OSError) as error:
        if (renewed := await _worker_already(known, identity)) is not None:
            await daemon.become(known, renewed)  # an earlier leave was interrupted
            return
        raise Unavailable(
            f"the manager on this host does not answer ({error}), so the others cannot be told that it "
            "leaves; wait until it does, or demote this node on another manager, or use --force"
        ) from error
    others = tuple(
        manager.address for manager in told.managers if manager.node_id != node_id and manager.address
    )
    if not others:
        raise local_manager.only_manager()
    if not told.has_quorum:
        raise FailedPrecondition(
            "a majority of the managers does not answer, so nothing can be changed, not even who is one; "
            "`covey cluster status` says what to do; `covey leave --force` leaves without telling them"
        )
    await local_manager.demote(daemon.run, node_id)
    renewed = await _until_worker(identity, others)
    await daemon.become(replace(known, managers=others), renewed)


async def _worker_already(known: Membership, identity: NodeIdentity) -> NodeIdentity | None:
    own = join_host_port(known.advertise_address, limits.control_port)
    others = tuple(address for address in known.managers if address != own)
    try:
        return await client.renew(identity, others, NodeRole.WORKER)
    except CoveyError:
        return None


async def _until_worker(identity: NodeIdentity, others: tuple[str, ...]) -> NodeIdentity:
    """Wait until the managers give this node a worker's certificate: then it is out of their group."""
    deadline = time.monotonic() + limits.demotion_timeout_s
    while True:
        try:
            return await client.renew(identity, others, NodeRole.WORKER)
        except Unavailable as error:
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"this node was not taken out of the group of managers within {limits.demotion_timeout_s:g} s "
                    f"({error}); it goes on there, and `covey leave` can be repeated"
                ) from error
        await asyncio.sleep(0.1)


async def set_address(daemon: Daemon, advertise_address: str, data_address: str) -> None:
    """Change the addresses others reach this node by; its processes begin anew with them."""
    known, identity = _member(daemon)
    if not advertise_address and not data_address:
        raise FailedPrecondition("no new address was given")
    record = _readdressed(daemon, known, identity, advertise_address, data_address)
    if record == known:
        return
    membership.save(daemon.state, record)
    await daemon.processes.until_absent()
    daemon.take_up()
    if identity.identity.role is NodeRole.MANAGER:
        control = join_host_port(record.advertise_address, limits.control_port)
        node_id = identity.identity.node_id
        await local_manager.until_known_at(daemon.run, daemon.processes, node_id, control)


def _readdressed(
    daemon: Daemon, known: Membership, identity: NodeIdentity, advertise_address: str, data_address: str
) -> Membership:
    """The record with new addresses; where both were one, the data address moves along."""
    interfaces = addresses.addresses_by_interface()
    advertise = known.advertise_address
    if advertise_address:
        advertise = addresses.advertised(advertise_address, interfaces)
    was_one = known.data_address == known.advertise_address
    data = daemon.data_address(data_address) or (advertise if was_one else known.data_address)
    addresses.require_local(data, "--data-path-addr")
    managers = known.managers
    if identity.identity.role is NodeRole.MANAGER:
        before = join_host_port(known.advertise_address, limits.control_port)
        after = join_host_port(advertise, limits.control_port)
        managers = tuple(after if address == before else address for address in managers)
    return replace(known, advertise_address=advertise, data_address=data, managers=managers)


async def force_new_cluster(daemon: Daemon, advertise_address: str) -> None:
    """Make this manager the only one of its cluster, with all the state it has."""
    known, identity = _member(daemon)
    if identity.identity.role is not NodeRole.MANAGER:
        raise FailedPrecondition(
            "this node is a worker and holds none of the cluster's state; run this on a manager, or "
            "`covey cluster restore` a backup on a host in no cluster"
        )
    if store_access.load(daemon.state) is not None:
        raise FailedPrecondition(
            "this cluster's state is kept in etcd: any one manager that reaches etcd goes on by itself; bring etcd "
            "back (its own guide to disaster recovery says how), or restore a backup on a host in no cluster"
        )
    if not (daemon.state / "manager" / "log.db").exists():
        raise FailedPrecondition(
            f"{daemon.state / 'manager'} is gone, and with it this manager's state; run this on another "
            "manager, or leave with --force and restore a backup"
        )
    await _require_no_majority(daemon.run)
    record = _readdressed(daemon, known, identity, advertise_address, "")
    control = join_host_port(record.advertise_address, limits.control_port)
    await daemon.processes.until_absent()
    membership.save(daemon.state, replace(record, managers=(control,)))
    order = RecoveryOrder(cluster_id=known.cluster_id, node_id=identity.identity.node_id)
    path = recovery.path_in(daemon.state)
    files.write_atomic(path, recovery.encode(order))
    daemon.take_up()
    await local_manager.until_alone(daemon.run, daemon.processes, identity.identity.node_id, path)


async def _require_no_majority(run: Path) -> None:
    """Refuse to take the cluster from managers that have it: what they do meanwhile would be lost.

    It takes a leader a moment to notice that the others are gone.
    """
    deadline = time.monotonic() + 2 * limits.member_silent_ms_max / 1000
    while True:
        try:
            told = await local_manager.status(run)
        except (CoveyError, OSError):
            return  # that the manager does not even start is a reason, too
        if not told.has_quorum or sum(manager.voter for manager in told.managers) <= 1:
            return
        if time.monotonic() > deadline:
            raise FailedPrecondition(
                "a majority of the managers answers, so nothing needs to be forced: `covey cluster status` says who "
                "is missing; demote those that are lost (`covey node demote`), and remove them (`covey node rm`)"
            )
        await asyncio.sleep(limits.member_silent_ms_max / 10_000)


async def restore(daemon: Daemon, path: Path, advertise_address: str, data_address: str) -> None:
    """Make this host, which is in no cluster, the only manager of the cluster that was backed up."""
    daemon.require_outside()
    advertise, data = daemon.manager_addresses(advertise_address, data_address)
    daemon.keep_store_access(None)
    key = store.key(membership.identity_dir(daemon.state))
    made = await asyncio.to_thread(restoring.restored, path, key, daemon.settings.node_name, time.time_ns())
    first = bootstrap.path_in(daemon.state)
    files.make_private_directory(first.parent)
    files.write_atomic(first, bootstrap.encode(made.content))
    control = join_host_port(advertise, limits.control_port)
    cluster = made.content.cluster
    record = Membership(
        cluster_id=cluster.id,
        advertise_address=advertise,
        data_address=data,
        managers=(control,),
        vxlan_port=cluster.spec.vxlan_port,
    )
    daemon.enter(record, made.identity)
    await local_manager.until_alone(daemon.run, daemon.processes, made.identity.identity.node_id, first)


def _member(daemon: Daemon) -> tuple[Membership, NodeIdentity]:
    if daemon.member is None:
        raise FailedPrecondition("this host is in no cluster; `covey init` or `covey join` makes it a node")
    return daemon.member
