"""A store whose manager is alone in its cluster, on a real disk."""

from pathlib import Path

from manager.raft.entry import Member
from manager.raft.io.disk import SqliteDisk
from manager.raft.io.loopback import LoopbackTransport, Network
from manager.store.driver import Store
from manager.store.log.replicated import ReplicatedLog, open_replicated

ADDRESS = "127.0.0.1:2377"
NODE = "n" * 25


async def open_log(directory: Path, cluster_id: str) -> ReplicatedLog:
    """Open or make the log in STATE/manager; it leads."""
    disk = await SqliteDisk.open(directory, cluster_id, upgrade=Member(0, NODE, ADDRESS))
    return await open_replicated(
        disk, LoopbackTransport(Network()), node_id=NODE, address=ADDRESS, founding=True
    )


async def open_alone(state: Path, cluster_id: str) -> Store:
    """Open or make the store in STATE."""
    return await Store.start(await open_log(state / "manager", cluster_id))
