"""What coveyd does for its host: init, join, leave, renewal, and taking up where it was stopped."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import TypeVar

from covey import limits
from covey.errors import Corrupt, CoveyError, FailedPrecondition, Unavailable
from covey.identity import NodeIdentity, make_token, store
from covey.io import files, process
from covey.model import bootstrap, store_access
from covey.model.address import join_host_port
from covey.model.specs import ClusterSpec
from covey.model.states import Availability, NodeRole
from covey.model.store_access import StoreAccess
from manager.store.log.etcd import ping

from . import addresses, client, founding, local_manager, membership
from .driver import Processes
from .membership import Membership
from .settings import Settings

log = logging.getLogger(__name__)
Result = TypeVar("Result")


class Daemon:
    """One host's membership and its processes. Operations run one at a time and to their end.

    `stop_tasks` is the command that stops and removes all containers and networks of this node.
    """

    def __init__(
        self,
        settings: Settings,
        processes: Processes,
        stop_tasks: list[str],
        environment: dict[str, str],
        dice: Random,
    ) -> None:
        self.settings = settings
        self.processes = processes
        self.member: tuple[Membership, NodeIdentity] | None = None
        self._stop_tasks = stop_tasks
        self._environment = environment
        self._dice = dice
        self._under_way = ""

    @property
    def state(self) -> Path:
        """The state directory."""
        return Path(self.settings.state_dir)

    @property
    def run(self) -> Path:
        """The run directory."""
        return Path(self.settings.run_dir)

    @property
    def under_way(self) -> str:
        """The operation that is under way, in words; empty while there is none."""
        return self._under_way

    # --- start and reload --------------------------------------------------------------------------

    async def recover(self) -> None:
        """Take up where the last coveyd was stopped: as a member, outside, or in the middle of leaving."""
        await self.exclusively("the start of coveyd", self._recover)

    async def _recover(self) -> None:
        files.make_private_directory(self.state)
        files.remove_leftovers(self.state)
        files.remove_leftovers(self.run)
        if membership.is_leaving(self.state):
            log.warning("a leave was interrupted; finishing it")
            await self._finish_leave(force=False)
            return
        member = membership.load(self.state)
        if member is not None and member[1].identity.role is NodeRole.WORKER:
            membership.forget_manager(self.state)  # a demotion was interrupted
        self.take_up()

    def take_up(self) -> None:
        """Run what this host is to run, by what is on its disk."""
        self.member = membership.load(self.state)
        if self.member is None:
            log.info("this host is in no cluster; `covey init` or `covey join` makes it a node")
            return
        config = membership.node_config(self.settings, *self.member)
        membership.write_config(config)
        log.info("node %s (%s) of cluster %s", config.node_id, config.role.name.lower(), config.cluster_id)
        managing = ["manager"] if config.role is NodeRole.MANAGER else []
        self.processes.want(["agent", "dns", *managing])

    def reload(self, settings: Settings) -> None:
        """Take up new settings; the processes begin anew if they are concerned."""
        if (settings.state_dir, settings.run_dir) != (self.settings.state_dir, self.settings.run_dir):
            raise FailedPrecondition("--state-dir and --run-dir change only with a restart of coveyd")
        before, self.settings = self.settings, settings
        if settings != before and self.member is not None:
            membership.write_config(membership.node_config(settings, *self.member))
            self.processes.renew()

    # --- operations --------------------------------------------------------------------------------

    async def exclusively(self, what: str, operation: Callable[[], Awaitable[Result]]) -> Result:
        """Run an operation, alone, and to its end even if nobody waits for it any more."""
        if self._under_way:
            raise FailedPrecondition(f"{self._under_way} is under way on this host; wait for it to end")
        self._under_way = what

        async def run() -> Result:
            try:
                return await operation()
            finally:
                self._under_way = ""

        task = asyncio.create_task(run())
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def init(
        self,
        spec: ClusterSpec,
        advertise_address: str,
        data_address: str,
        availability: Availability,
        access: StoreAccess | None = None,
    ) -> str:
        """Make a cluster with this host as its manager; gives the worker token. `access`: its state goes to etcd."""
        self.require_outside()
        advertise, data = self.manager_addresses(advertise_address, data_address)
        if access is not None:
            await ping(access)
        self.keep_store_access(access)
        key = store.key(membership.identity_dir(self.state))
        name = self.settings.node_name
        made = founding.found_cluster(spec, key, name, availability, self._dice, time.time_ns())
        first = bootstrap.path_in(self.state)
        files.make_private_directory(first.parent)
        files.write_atomic(first, bootstrap.encode(made.bootstrap))
        control = join_host_port(advertise, limits.control_port)
        self.enter(
            Membership(
                cluster_id=made.identity.identity.cluster_id,
                advertise_address=advertise,
                data_address=data,
                managers=(control,),
                vxlan_port=spec.vxlan_port,
            ),
            made.identity,
        )
        await local_manager.until_answers(self.run, self.processes)
        cluster = made.bootstrap.cluster
        return str(make_token(cluster.root_ca.digest, cluster.join_secrets.worker))

    async def join(
        self,
        token: str,
        address: str,
        advertise_address: str,
        data_address: str,
        availability: Availability,
    ) -> NodeIdentity:
        """Make this host a node of a cluster that exists."""
        self.require_outside()
        interfaces = addresses.addresses_by_interface()
        advertise = addresses.advertised(advertise_address, interfaces) if advertise_address else ""
        data = self.data_address(data_address) or advertise
        if not data:
            target, _ = addresses.manager_address(address, limits.bootstrap_port)
            data = addresses.source_of_packets(target, interfaces) if ":" in target else ""
        if data:
            addresses.require_local(data, "--data-path-addr")
        key = store.key(membership.identity_dir(self.state))
        joined = await client.join(token, address, key, self.settings.node_name, availability)
        identity = joined.identity
        if not identity.not_before_ns <= time.time_ns() < identity.not_after_ns:
            raise FailedPrecondition(
                "this host's clock and the manager's are more than "
                f"{limits.node_certificate_backdate_hours} h apart; set the clock, then join again"
            )
        self.keep_store_access(None)
        if identity.identity.role is NodeRole.MANAGER:
            addresses.require_manager_ports()
            await self.fetch_store_access(identity, joined.managers)
        self.enter(
            Membership(
                cluster_id=identity.identity.cluster_id,
                advertise_address=advertise or joined.local_address,
                data_address=data or addresses.source_of_packets(joined.local_address, interfaces),
                managers=joined.managers,
                vxlan_port=joined.vxlan_port,
            ),
            identity,
        )
        if identity.identity.role is NodeRole.MANAGER:
            await local_manager.until_voting(self.run, self.processes, identity.identity.node_id)
        return identity

    async def leave(self, force: bool) -> None:
        """Stop this node's tasks and make it a host of no cluster. See `managing.leave` for managers."""
        leaving = membership.is_leaving(self.state)
        if self.member is None and not leaving and not force:
            raise FailedPrecondition("this host is in no cluster")
        membership.begin_leave(self.state)
        await self._finish_leave(force)

    async def _finish_leave(self, force: bool) -> None:
        await self.processes.until_absent()
        await self._sign_off()
        try:
            await self.end_tasks()
        except CoveyError as error:
            if not force:
                raise
            log.error("leaving all the same: %s", error)
        membership.forget(self.state, self.run)
        self.member = None
        log.info("this host is in no cluster any more")

    async def _sign_off(self) -> None:
        """Have the managers replace this node's tasks at once; if none answers, they will notice it by its silence.

        The agent must not run: it would sign on again. The only manager has nobody to tell.
        """
        if self.member is None or self.member[1].identity.role is NodeRole.MANAGER:
            return
        known, identity = self.member
        try:
            await client.sign_off(identity, known.managers)
        except CoveyError as error:
            log.warning("no manager could be told that this node leaves: %s", error)

    async def end_tasks(self) -> None:
        """Stop and remove every container and network of this node; raises `Unavailable` if that fails.

        The agent must not run. A host that is no node has none: the certificate goes after the tasks.
        """
        try:
            member = membership.load(self.state)
        except Corrupt as error:
            log.error("%s", error)  # what the agent was told last still says where the containers are
        else:
            if member is not None:
                membership.write_config(membership.node_config(self.settings, *member))
        if not (self.run / "node.json").exists():
            return
        timeout_s = limits.stop_tasks_timeout_s
        done = await process.run(self._stop_tasks, timeout_s=timeout_s, env=self._environment)
        if done.code != 0:
            raise Unavailable(
                f"the tasks on this node could not be stopped: {done.complaint or f'code {done.code}'}; "
                "try again, or use --force"
            )

    # --- certificates ------------------------------------------------------------------------------

    async def keep_renewing(self) -> None:
        """Renew the certificate whenever it is time, until cancelled. See `renewal`."""
        from_part, to_part = limits.certificate_renewal_from_part, limits.certificate_renewal_to_part
        part, retry_ms = self._dice.uniform(from_part, to_part), limits.certificate_renewal_retry_ms_min
        while True:
            await asyncio.sleep(limits.certificate_renewal_look_s)
            if self.member is None or self._under_way or not is_due(self.member[1], part, time.time_ns()):
                continue
            try:
                await self.exclusively("the renewal of the certificate", self.renew)
                part = self._dice.uniform(from_part, to_part)
                retry_ms = limits.certificate_renewal_retry_ms_min
            except (CoveyError, OSError) as error:  # no manager, or no room on the disk
                log.warning("the certificate could not be renewed: %s", error)
                await asyncio.sleep(retry_ms / 1000)
                retry_ms = min(2 * retry_ms, limits.certificate_renewal_retry_ms_max)

    async def renew(self) -> None:
        """Renew the certificate now. The processes read it anew whenever they connect."""
        if self.member is None:
            raise FailedPrecondition("this host is in no cluster")
        known, identity = self.member
        await self.become(known, await client.renew(identity, known.managers))
        log.info("the certificate was renewed")

    async def become(self, record: Membership, identity: NodeIdentity) -> None:
        """Take a new record and certificate of the same node into use, and run what its role calls for."""
        membership.save(self.state, record)
        if self.member is None or identity != self.member[1]:
            store.save(membership.identity_dir(self.state), identity)
        self.take_up()
        if identity.identity.role is NodeRole.WORKER:
            await self.processes.until_gone("manager")
            membership.forget_manager(self.state)

    # --- small steps -------------------------------------------------------------------------------

    def require_outside(self) -> None:
        """Raise `FailedPrecondition` unless this host is in no cluster."""
        if membership.is_leaving(self.state):
            raise FailedPrecondition(
                "this host has begun to leave a cluster; finish with `covey leave --force`"
            )
        if (member := membership.load(self.state)) is not None:
            raise FailedPrecondition(
                f"this host is node {member[1].identity.node_id} of cluster {member[0].cluster_id} already; "
                "`covey leave` first"
            )

    def manager_addresses(self, advertise_address: str, data_address: str) -> tuple[str, str]:
        """Settle a first manager's addresses, seeing to it that one can run on this host."""
        advertise = addresses.advertised(advertise_address, addresses.addresses_by_interface())
        data = self.data_address(data_address) or advertise
        addresses.require_local(data, "--data-path-addr")
        addresses.require_manager_ports()
        if (self.state / "manager" / "log.db").exists():
            raise FailedPrecondition(
                f"{self.state / 'manager'} holds a cluster's state, but this host has no certificate of it; "
                "restore STATE/identity from a backup, or remove it all with `covey leave --force`"
            )
        return advertise, data

    def keep_store_access(self, access: StoreAccess | None) -> None:
        """Write down where the state is kept; None: here, by the managers themselves."""
        if access is None:
            files.remove(store_access.path_in(self.state))
        else:
            store_access.save(self.state, access)

    async def fetch_store_access(self, identity: NodeIdentity, managers: tuple[str, ...]) -> None:
        """Learn from the managers where the state is kept; before this node takes up a manager's certificate."""
        if told := await client.store_access(identity, managers):
            self.keep_store_access(
                store_access.decode(told, "what the managers said of where the state is kept")
            )

    def data_address(self, wanted: str) -> str:
        """Settle where overlay packets go out from, if that was asked for."""
        interfaces = addresses.addresses_by_interface()
        return interfaces.get(wanted) or (addresses.parse(wanted, "--data-path-addr") if wanted else "")

    def enter(self, record: Membership, identity: NodeIdentity) -> None:
        """Become a node."""
        membership.save(self.state, record)
        store.save(membership.identity_dir(self.state), identity)  # from here on, this host is a node
        self.take_up()


def is_due(identity: NodeIdentity, part: float, now_ns: int) -> bool:
    """Tell whether `part` of a certificate's lifetime is over."""
    return now_ns >= identity.not_before_ns + (identity.not_after_ns - identity.not_before_ns) * part
