"""Judging: where one more task of a service could go just now, and what rules the other nodes out.

The scheduler's own filters are asked, about the nodes and claims that a view holds; nothing is written.
"""

from typing import NamedTuple

from covey.model.objects import Node, Revision, Service, Task
from manager.store.view import View

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


def fleet_of(view: View) -> Fleet:
    """All nodes as they are, with what tasks have claimed of them."""
    fleet = Fleet()
    for node in view.all(Node):
        fleet.observe_node(node.id, node)
    demands: dict[str, Demand] = {}
    for task in view.all(Task):
        if not holds_node(task):
            continue
        if task.revision_id not in demands:
            revision, service = view.get(Revision, task.revision_id), view.get(Service, task.service_id)
            demands[task.revision_id] = Demand() if revision is None else demand_of(revision, service)
        active, demand = task.desired_state.wants_up, demands[task.revision_id]
        claim = Claim(task.node_id, task.service_id, task.slot, active, demand, task.generic)
        fleet.observe_claim(task.id, claim)
    return fleet
