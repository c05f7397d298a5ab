"""Finding a node by what people call it."""

from covey.client.cluster import ClusterClient
from covey.client.daemon import connect_daemon
from covey.client.host import Host
from covey.errors import FailedPrecondition
from covey.model.objects import Node


async def find(cluster: ClusterClient, host: Host, name: str) -> Node:
    """Find a node by id, prefix or hostname; `self` is the host that is spoken to."""
    if name != "self":
        return await cluster.get_node(name)
    async with connect_daemon(host) as daemon:
        told = await daemon.info()
    if not told.node_id:
        raise FailedPrecondition("self: this host is in no cluster")
    return await cluster.get_node(told.node_id)
