"""`Control.Backup`: the store as it is now, in pieces, while it goes on changing."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from importlib.metadata import version

from covey.errors import Unavailable
from covey.model.objects import Cluster
from covey.v1 import control_pb2 as pb
from covey.wire.service import Binding, Caller, bind
from covey.wire.services import Control
from manager.store import snapshot
from manager.store.driver import Store

from .archive import Header, pack

log = logging.getLogger(__name__)


class BackupServer:
    """Serves `Control.Backup` from this manager's own store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def bindings(self) -> list[Binding]:
        """List the methods this serves."""
        return [bind(Control.backup, self.backup)]

    async def backup(self, request: pb.BackupRequest, caller: Caller) -> AsyncIterator[pb.BackupResponse]:
        """Stream a backup of the state at one index."""
        index, objects = self._store.objects()
        cluster = next(iter(objects[Cluster].values()), None)
        if not isinstance(cluster, Cluster):
            raise Unavailable("the cluster is still being set up; try again in a moment")
        header = Header(cluster.id, cluster.epoch, index, time.time_ns(), version("covey"))
        log.info("%s takes a backup at index %s", caller, index)
        for piece in pack(header, snapshot.encode(objects)):
            yield pb.BackupResponse(data=piece)
            await asyncio.sleep(0)  # a large cluster takes a second to encode, and elections do not wait
        log.info("the backup at index %s was taken", index)
