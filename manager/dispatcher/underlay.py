"""Whether nodes can send each other the packets of overlays: only between addresses of one family."""

from covey.model.addressing import is_ipv6
from covey.model.objects import Node
from covey.model.states import NodeState
from manager.store.view import View


def apart(view: View, node_id: str, data_address: str) -> str:
    """Say why the tasks of a node with this address would be reached from none of the others, which are up; else "".

    Such a node would look well, and every service with a task there would fail now and then.
    """
    up = (each for each in view.all(Node) if each.id != node_id and each.status.state is NodeState.READY)
    others = {is_ipv6(address) for each in up if (address := each.description.data_address)}
    own = is_ipv6(data_address)
    if not data_address or own in others or not others:
        return ""
    family, theirs = ("IPv6", "IPv4") if own else ("IPv4", "IPv6")
    return (
        f"the node's data address {data_address} is of {family}, and those of all others are of {theirs}: no packet of "
        "an overlay would come there; give it one of theirs (covey node set-address --data-path-addr)"
    )
