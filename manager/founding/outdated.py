"""Whether the cluster went on without this manager. Pure.

A forced new cluster, or a restored one, has a higher epoch, and knows this manager's Raft id no more. A lagging
member of the present group has a lower epoch for a while, too; but the present group knows its id.
"""

from covey.v1.control_pb2 import GetClusterStatusResponse


def outdated(own_id: int, epoch: int, address: str, told: GetClusterStatusResponse) -> str | None:
    """Say why this manager must stop, from what the one at `address` answers; None if it need not."""
    if told.epoch <= epoch or any(manager.raft_id == own_id for manager in told.managers):
        return None
    return (
        f"the cluster went on without this manager: {address} is in epoch {told.epoch}, and here it is {epoch}. "
        "What is stored here is out of date. The node becomes a worker as soon as its agent meets the new cluster; "
        "to make it a manager again, promote it there, or `covey leave --force` and join"
    )
