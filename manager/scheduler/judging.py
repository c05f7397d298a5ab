"""Judging: where one more task of a service could go just now, and what rules the other nodes out.

The scheduler's own filters are asked, about the nodes and claims that a view holds; nothing is written.
"""

from collections.abc import Iterable
from typing import NamedTuple

from covey.model.objects import Node, Revision, Service, Task
from manager.store.view import BY_NODE, View

from .demand import Claim, Demand, demand_of, holds_node
from .fleet import Fleet, Host
from .group import group_of
from .seats import RuledOut, seats_of


class Judgement(NamedTuple):
    """The nodes that would take one more task, and the others by the filter that rules them out."""

    open: list[Host]
    ruled_out: RuledOut


def judge(view: View, service: Service) -> Judgement:
    """Ask about every node, for a task of the service's current revision."""
    group = group_of(view, (service.id, service.revision_id))
    assert group is not None, f"the current revision of service {service.name} is there"
    seats, ruled_out = seats_of(group, fleet_of(view).sorted())
    return Judgement([host for host, _ in seats], ruled_out)


def takes_over(view: View, service: Service, old: Task) -> bool:
    """Tell whether a node would take a task of the service's current revision once an old one has gone from it."""
    group, node = group_of(view, (service.id, service.revision_id)), view.get(Node, old.node_id)
    if group is None or node is None:
        return False
    others = (task for task in view.find(Task, BY_NODE, node.id) if task.id != old.id)
    seats, _ = seats_of(group, _fleet(view, (node,), others).sorted())
    return bool(seats)


def fleet_of(view: View) -> Fleet:
    """All nodes as they are, with what tasks have claimed of them."""
    return _fleet(view, view.all(Node), view.all(Task))


def _fleet(view: View, nodes: Iterable[Node], tasks: Iterable[Task]) -> Fleet:
    fleet = Fleet()
    for node in nodes:
        fleet.observe_node(node.id, node)
    demands: dict[str, Demand] = {}
    for task in tasks:
        if not holds_node(task):
            continue
        if task.revision_id not in demands:
            revision, service = view.get(Revision, task.revision_id), view.get(Service, task.service_id)
            demands[task.revision_id] = Demand() if revision is None else demand_of(revision, service)
        active, demand = task.desired_state.wants_up, demands[task.revision_id]
        claim = Claim(task.node_id, task.service_id, task.slot, active, demand, task.generic)
        fleet.observe_claim(task.id, claim)
    return fleet
