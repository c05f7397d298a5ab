"""What a restored or forced new cluster holds. Pure.

All other managers are gone or will be: their nodes become workers, which their agents learn at the next session; they
keep their availability and their tasks. The epoch rises, so that agents that have seen more than this state remembers
listen to it all the same, and not to managers left behind.

A raised epoch is the time in seconds, or one more than the last where the clock is behind: the same backup may be
restored twice, and two managers with the same past may each be made to go on alone, one after the other died. The later
of them must count for more.
"""

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from covey import limits
from covey.model.bootstrap import ClusterContent, content_of
from covey.model.objects import Cluster, Meta, Node, NodeDescription, NodeStatus, Object
from covey.model.specs import NodeSpec
from covey.model.states import Availability, NodeRole
from manager.store.draft import Draft
from manager.store.entry import encode_object
from manager.store.kinds import T


def raised(epoch: int, now_ns: int) -> int:
    """Give the epoch that follows."""
    return max(epoch + 1, now_ns // 1_000_000_000)


def sole_manager(node: Node, node_id: str) -> Node:
    """Give a node as it is once the node `node_id` manages alone."""
    role = NodeRole.MANAGER if node.id == node_id else NodeRole.WORKER
    return replace(node, role=role, spec=replace(node.spec, role=role))


def go_on_alone(draft: Draft, node_id: str, epoch: int) -> bool:
    """Write what a forced new cluster is; false if it has been written before."""
    cluster = next(iter(draft.all(Cluster)))
    if cluster.epoch >= epoch:
        return False
    draft.put(replace(cluster, epoch=epoch))
    for node in draft.all(Node):
        draft.put(sole_manager(node, node_id))
    return True


def restored(
    cluster: Cluster, objects: Iterable[Object], node_id: str, node_name: str, now_ns: int
) -> ClusterContent:
    """Give the content of a cluster restored on a machine that is its node `node_id`, new or known from before.

    Objects keep the time they were made at and lose their versions, which count in the new log.
    """
    kept = [item for item in objects if not isinstance(item, Cluster)]
    nodes = [sole_manager(item, node_id) for item in kept if isinstance(item, Node)]
    if node_id not in {node.id for node in nodes}:
        nodes.append(
            Node(
                id=node_id,
                spec=NodeSpec(role=NodeRole.MANAGER, availability=Availability.ACTIVE),
                description=NodeDescription(hostname=node_name),
                status=NodeStatus(),
                role=NodeRole.MANAGER,
            )
        )
    others = [item for item in kept if not isinstance(item, Node)]
    following = replace(cluster, epoch=raised(cluster.epoch, now_ns))
    return content_of(_anew(following), [_anew(item) for item in (*nodes, *others)])


def _anew(item: T) -> T:
    return replace(item, meta=Meta(created_at_ns=item.meta.created_at_ns))


def batches(
    objects: Iterable[Object], bytes_max: int = limits.entry_bytes_max // 2
) -> Iterator[Sequence[Object]]:
    """Cut objects into batches that fit an entry each, in their order.

    Half an entry leaves room for what an entry says besides: an id and a version for each.
    """
    batch: list[Object] = []
    size = 0
    for item in objects:
        more = len(memoryview(encode_object(item)[1]))
        if batch and size + more > bytes_max:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += more
    if batch:
        yield batch
