"""Which nodes and networks a commit touches, so that a change costs what it changes."""

from dataclasses import dataclass, field

from msgspec.structs import replace

from covey.model import network_options
from covey.model.objects import Cluster, Endpoint, Network, Node, Revision, Service, Task, TaskStatus
from covey.model.states import TaskState
from manager.store.transaction import Change, Commit
from manager.store.view import BY_NETWORK, BY_NODE, View


@dataclass(slots=True)
class Dirt:
    """Nodes whose assignments, and networks whose tables, may differ from what was sent."""

    nodes: set[str] = field(default_factory=set[str])
    networks: set[str] = field(default_factory=set[str])

    def __bool__(self) -> bool:
        return bool(self.nodes or self.networks)

    def add(self, view: View, commit: Commit) -> None:
        """Note what `commit`, already applied to `view`, touches."""
        for change in commit.changes:
            for item in (change.before, change.after):
                match item:
                    case Task(node_id=node_id) if node_id and not _only_progress(change):
                        self.nodes.add(node_id)
                    case Endpoint():
                        self.nodes.add(item.node_id)
                        self.networks.add(item.network_id)
                    case Network():
                        self.networks.add(item.id)
                        self.nodes.update(e.node_id for e in view.find(Endpoint, BY_NETWORK, item.id))
                    case Service():
                        self.networks.update(_networks_of(view, item))
                    case Revision():  # the view may be ahead, and have no more of a service that has gone
                        self.networks.update(attachment.target for attachment in item.spec.task.networks)
                    case Node() if _shown(change.before) != _shown(change.after):
                        self.nodes.add(item.id)
                        self.networks.update(e.network_id for e in view.find(Endpoint, BY_NODE, item.id))
                    case Cluster() if _turn(change.before) != _turn(change.after):
                        self.networks.update(
                            each.id
                            for each in view.all(Network)
                            if network_options.encrypted(each.spec.options)
                        )
                    case _:
                        pass
        self.nodes.discard("")


def _only_progress(change: Change) -> bool:
    """Tell whether a task changed in nothing but a status its own agent reported."""
    before, after = change.before, change.after
    if not (isinstance(before, Task) and isinstance(after, Task)):
        return False
    if before.status.state < TaskState.ASSIGNED or after.status.state is TaskState.ORPHANED:
        return False
    nothing = TaskStatus()
    return replace(before, status=nothing, meta=after.meta) == replace(after, status=nothing)


def _shown(item: object) -> object:
    """Give what others are told of a node: where its VTEP is, what it can do, and what templates ask for."""
    if not isinstance(item, Node):
        return None
    said = item.description
    on = said.networking
    can = on.keeps_client_address, on.tunnel_keys, on.without_ipv6
    return said.data_address, can, said.hostname, said.platform, item.spec.labels


def _turn(item: object) -> object:
    """Give which generation of keys tunnels are to have."""
    return item.tunnels.generation if isinstance(item, Cluster) else None


def _networks_of(view: View, service: Service) -> set[str]:
    """Return the networks whose tables have, or had, a row for `service`."""
    found = {vip.network_id for vip in service.virtual_ips}
    revision = view.get(Revision, service.revision_id)
    if revision is not None:
        found.update(attachment.target for attachment in revision.spec.task.networks)
    if service.ports:
        found.update(network.id for network in view.all(Network) if network.spec.ingress)
    return found
