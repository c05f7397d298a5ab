"""Opens the log in etcd, and answers what a manager asks about it."""

import asyncio
import logging
from collections.abc import Mapping

from covey import limits
from covey.errors import FailedPrecondition
from covey.model import store_access
from covey.model.address import join_host_port
from covey.model.node_config import NodeConfig
from covey.model.objects import Node
from covey.model.states import NodeRole
from covey.model.store_access import StoreAccess
from covey.wire.service import Binding
from manager.founding import Found, Mode, Recover
from manager.store.driver import Store
from manager.store.log.etcd import EtcdLog, open_etcd
from manager.store.log.seam import Log

log = logging.getLogger(__name__)


class Elsewhere:
    """The log, kept in etcd. It has the face of `manager.keeping.Keeping`, without a Raft group."""

    def __init__(self, config: NodeConfig, mode: Mode, access: StoreAccess, kept: EtcdLog) -> None:
        self._config = config
        self._kept = kept
        self._store: Store | None = None
        self.kept_out_by = ""
        self.mode = mode
        self.log: Log = kept
        self.group: None = None
        self.store_access = store_access.encode(access)

    def managers(self) -> tuple[str, ...]:
        """The control addresses of all managers, the leader's first."""
        leader = self._kept.standing.address
        others = sorted(
            {address for node_id, address in self._kept.session.managers.items() if self._manages(node_id)}
            - {leader, ""}
        )
        return (leader, *others) if leader else tuple(others)

    def _manages(self, node_id: str) -> bool:
        """Whether a node is a manager, as far as this one knows."""
        node = self._store.get(Node, node_id) if self._store is not None else None
        return node is not None and node.role is NodeRole.MANAGER

    def alive(self) -> Mapping[str, str]:
        """The addresses of the managers that answer, by node id."""
        return self._kept.session.alive

    def bindings(self, store: Store) -> list[Binding]:
        """What this make of log serves on the control port: nothing."""
        return []

    async def check_current(self, store: Store) -> None:
        """See to it that a node that is no manager does not lead."""
        self._store = store

    async def watch_current(self, store: Store) -> None:
        """There is one etcd: the cluster cannot go on without this manager unseen."""

    async def take_part(self) -> None:
        """Lead if there is nobody else, for as long as this node is a manager."""
        while True:
            assert self._store is not None, "check_current comes first"
            node = self._store.get(Node, self._config.node_id)
            self._kept.session.stand(node is None or node.role is NodeRole.MANAGER)
            await asyncio.sleep(limits.roles_look_ms / 1000)

    async def watch_leader(self) -> None:
        """The lease tells how long ago etcd was heard from."""

    def silent_ms(self) -> int:
        """How long ago this manager last knew that it was up to date; 0 where it leads, -1: never since it began."""
        return 0 if self._kept.standing.leads else self._kept.session.silent_ms

    async def hand_over(self) -> None:
        """Let another manager lead."""
        self._kept.session.stand(False)


async def open_elsewhere(config: NodeConfig, mode: Mode, access: StoreAccess) -> Elsewhere:
    """Open the log; raises what keeps this manager from starting, in a sentence."""
    if isinstance(mode, Recover):
        raise FailedPrecondition(
            f"{config.state}/manager/recovery.msgpack orders this manager to go on alone, but the state is kept in etcd, "
            "where any one manager can; remove that file"
        )
    address = join_host_port(config.advertise_address, limits.control_port)
    founding = isinstance(mode, Found)
    kept = await open_etcd(
        access, config.cluster_id, node_id=config.node_id, address=address, founding=founding
    )
    log.info("the state of cluster %s is in etcd at %s", config.cluster_id, ", ".join(access.endpoints))
    return Elsewhere(config, mode, access, kept)
