"""Opens the log as its make and the start mode ask for, and answers what the manager asks about it."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from covey import limits
from covey.errors import CoveyError, FailedPrecondition, Unavailable
from covey.identity import NodeIdentity
from covey.model import node_config, store_access
from covey.model.address import join_host_port
from covey.model.node_config import NodeConfig
from covey.wire.service import Binding
from manager.founding import Found, Mode, Recover, start_mode
from manager.founding.client import Candidate, ask_by, ask_to_join, join
from manager.founding.driver import epoch_of, keep_address, require_current, watch_epoch
from manager.raft.client import GrpcTransport
from manager.raft.driver import Replica
from manager.raft.entry import Member
from manager.raft.io.database import probe
from manager.raft.io.disk import SqliteDisk
from manager.raft.io.recovery import rewrite_membership
from manager.raft.ready import Role
from manager.raft.server import RaftServer
from manager.roles.server import JoinServer, dial_back
from manager.store.driver import Store
from manager.store.log.replicated import ReplicatedLog, open_replicated
from manager.store.log.seam import Log

from .elsewhere import Elsewhere, open_elsewhere

log = logging.getLogger(__name__)

LoadIdentity = Callable[[], NodeIdentity]


class Keeping:
    """The log, kept by the managers themselves. `group` is the Raft group, for who changes or shows it."""

    def __init__(
        self,
        config: NodeConfig,
        mode: Mode,
        kept: ReplicatedLog,
        transport: GrpcTransport,
        identity: LoadIdentity,
    ) -> None:
        self._config = config
        self._identity = identity
        self._transport = transport
        self._ask = ask_by(identity)
        self._heard_s: float | None = None
        self.kept_out_by = ""  # why the other managers have not let this one in yet
        self.mode = mode
        self.store_access = b""  # nothing beside a certificate is needed
        self.log: Log = kept
        self.group: Replica = kept.replica

    @property
    def address(self) -> str:
        """Where this manager is reached."""
        return self.group.own.address

    def managers(self) -> tuple[str, ...]:
        """The control addresses of all managers, the leader's first."""
        leader = self.log.standing.address
        others = sorted({member.address for member in self.group.membership.members} - {leader, ""})
        return (leader, *others) if leader else tuple(others)

    def alive(self) -> Mapping[str, str]:
        """The group knows this itself."""
        return {}

    def bindings(self, store: Store) -> list[Binding]:
        """What this make of log serves on the control port."""
        joining = JoinServer(store, self.group, self._config.cluster_id, dial_back(self._identity))
        return RaftServer(self._transport, joining.join).bindings()

    async def check_current(self, store: Store) -> None:
        """Refuse to go on where the cluster went on without this manager."""
        await require_current(self.group, lambda: epoch_of(store), self._ask)

    async def watch_current(self, store: Store) -> None:
        """Go on asking while this manager leads."""
        await watch_epoch(self.group, lambda: epoch_of(store), self._ask)

    async def take_part(self) -> None:
        """Become a member if this manager is none, and have the others know its address. It must be serving."""
        own = Candidate(self._config.cluster_id, self.group.own.id, self.address)
        if self.group.membership.get(own.raft_id) is None:
            if not self._others():
                raise FailedPrecondition(
                    f"{self._config.state}/manager knows nothing of cluster {own.cluster_id}, and this node knows no "
                    "other manager; restore a backup, or `covey leave --force` and join again"
                )
            self.group.introduce(await join(self._others, self._identity, own, self._note))
            self._note("")
            log.info("let in as member %s", own.raft_id)
            await self._hear_leader()
        while True:
            await keep_address(
                self.group, own, self._others, lambda address: self._ask_to_be_known(address, own)
            )
            await self._hear_leader()

    async def _hear_leader(self) -> None:
        """Return once no leader has been heard for a while: it may be one that came while this manager was away."""
        while 0 <= self.silent_ms() < limits.leader_missed_ms:  # noqa: ASYNC110  silence is no event
            await asyncio.sleep(limits.leader_look_ms / 1000)

    async def _ask_to_be_known(self, address: str, own: Candidate) -> None:
        if address == own.address and not self.log.standing.leader:
            raise Unavailable("this manager knows of no leader itself")
        self.group.introduce(await ask_to_join(address, self._identity(), own))

    def _others(self) -> tuple[str, ...]:
        """Where other managers are, as coveyd knows it by now: its agent may have heard news."""
        try:
            known = node_config.load(self._config.run / "node.json").managers
        except (OSError, CoveyError):
            known = self._config.managers
        return tuple(address for address in known if address != self.address)

    def _note(self, reason: str) -> None:
        self.kept_out_by = reason

    async def watch_leader(self) -> None:
        """Note when the leader was last heard from."""
        while True:
            self.silent_ms()
            await asyncio.sleep(limits.leader_look_ms / 1000)

    def silent_ms(self) -> int:
        """How long ago this manager last knew that it was up to date; 0 where it leads, -1: never since it began."""
        now_s, standing = time.monotonic(), self.group.standing
        if standing.role is Role.LEADER:
            self._heard_s = now_s
        elif (silent_s := self._transport.silent_s(standing.leader)) is not None:
            self._heard_s = max(now_s - silent_s, self._heard_s or 0.0)
        return -1 if self._heard_s is None else round((now_s - self._heard_s) * 1000)

    async def hand_over(self) -> None:
        """Let another manager lead, if this one does and another can."""
        try:
            if self.group.standing.role is Role.LEADER:
                await self.group.transfer()
        except CoveyError as error:
            log.info("nobody took over: %s", error)


async def open_kept(config: NodeConfig, identity: LoadIdentity) -> Keeping | Elsewhere:
    """Open the log; raises what keeps this manager from starting, in a sentence."""
    if (access := await asyncio.to_thread(store_access.load, config.state)) is not None:
        return await open_elsewhere(config, start_mode(config, has_log=True), access)
    directory = config.state / "manager"
    own = Member(0, config.node_id, join_host_port(config.advertise_address, limits.control_port))
    mode = start_mode(config, await asyncio.to_thread(_has_log, directory, config.cluster_id))
    if isinstance(mode, Recover):
        await asyncio.to_thread(_stand_alone, directory, config.cluster_id, own)
    disk = await SqliteDisk.open(directory, config.cluster_id, upgrade=own)
    transport = GrpcTransport(config.cluster_id, identity)
    kept = await open_replicated(
        disk, transport, node_id=own.node_id, address=own.address, founding=isinstance(mode, Found)
    )
    return Keeping(config, mode, kept, transport, identity)


def _has_log(directory: Path, cluster_id: str) -> bool:
    return probe(directory / "log.db", cluster_id) is not None


def _stand_alone(directory: Path, cluster_id: str, own: Member) -> None:
    rewrite_membership(directory, cluster_id, node_id=own.node_id, address=own.address)
