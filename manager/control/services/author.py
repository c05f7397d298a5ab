"""Who asked for a change, as a service's history says it."""

from covey.model.objects import Node
from covey.wire.service import Caller, Role
from manager.store.view import View


def author(view: View, caller: Caller, own_node_id: str) -> str:
    """Return `root on m1`, `manager m2`, and in brackets the user that the client named: `root on m1 (alice)`.

    Who has the socket is root on the host of the manager that took the call, which may have passed it on.
    `own_node_id` is that of this manager.
    """
    if caller.role is Role.LOCAL:
        name = f"root on {_host(view, caller.via or own_node_id) or 'this host'}"
    else:
        name = f"{caller.role.value} {_host(view, caller.node_id)}".rstrip()
    return f"{name} ({caller.user})" if caller.user else name


def _host(view: View, node_id: str) -> str:
    node = view.get(Node, node_id)
    return node.description.hostname or node_id if node is not None else node_id
