"""Eviction: tasks whose node changed so that they do not fit there any more are stopped.

People take a label off a node, or a host comes back with less memory, another processor, without its GPU or without
what encrypts.
Which of several tasks must go where there is not enough for all: the newest, until the rest fits. Only active
nodes are judged; a paused one keeps what it has. The task says why it had to stop.
"""

from collections import Counter

from covey.model import network_options
from covey.model.constraint import parse_all
from covey.model.objects import Endpoint, Network, Node, Revision, Task
from covey.model.specs import GenericResource, Resources
from covey.model.states import Availability, NodeState, TaskState
from manager.store.view import BY_NODE, BY_TASK, View

from .places import Place, Scene, age, runs_on

Amounts = Counter[str]
"""How much of what: "cpus" in billionths, "memory" in bytes, `generic ssd` in pieces."""


def evict(scene: Scene) -> None:
    """Have the tasks of a service that fit their node no more told to stop."""
    placement = scene.revision.spec.task.placement
    if not (placement.constraints or placement.platforms or scene.turn.crowded_out):
        return
    known: dict[tuple[str, str], str] = {}  # what thousands of tasks have in common is found out once
    for place in scene.places.values():
        if scene.turn.exhausted:
            return
        for task in place.live:
            key = (task.node_id, task.revision_id)
            if key not in known:
                known[key] = _misfit(scene, task)
            _stop(scene, place, task, scene.turn.crowded_out.get(task.id) or known[key])


def _stop(scene: Scene, place: Place, task: Task, why: str) -> None:
    if why:
        place.put(scene.turn.desire(task, TaskState.SHUTDOWN, f"stopped: {why}"))


def _misfit(scene: Scene, task: Task) -> str:
    """Say why the tasks of a revision may not stand on a node; empty if they may.

    Where the current revision asks otherwise than the task's own, the rollout sees to it, place by place;
    but for global services, whose place is the node.
    """
    node = scene.turn.node(task.node_id) if task.node_id else None
    if node is None or not judged(node):
        return ""
    wanted = scene.revision.spec.task.placement
    mine = scene.turn.revision(task.revision_id).spec.task.placement
    if wanted.constraints == mine.constraints or scene.everywhere:
        for constraint in parse_all(wanted.constraints):
            if not constraint.holds(node):
                return f"node {name_of(node)} no longer satisfies {constraint}"
    if runs_on(node, scene.turn.revision(task.revision_id)):
        return ""
    platform = node.description.platform
    return f"its image is not made for node {name_of(node)}, which is {platform.os}/{platform.architecture}"


def judged(node: Node) -> bool:
    """Tell whether people want a node to run what fits there. What is lost or drained is dealt with in `lost`."""
    return node.spec.availability is Availability.ACTIVE and node.status.state is not NodeState.DOWN


def name_of(node: Node) -> str:
    """What people call a node."""
    return node.description.hostname or node.id


def crowded_out(view: View, node: Node) -> dict[str, str]:
    """Say which tasks a node has no room for any more, and why, by their ids.

    A node that has said nothing of what it has is not judged by that.
    """
    has = node.description.resources
    if not judged(node) or has == Resources():
        return {}
    tasks = sorted(
        (task for task in view.find(Task, BY_NODE, node.id) if _stands(task)), key=age, reverse=True
    )
    why = {task.id: text for task in tasks if (text := _missing(node, task))}
    reserved: dict[str, Amounts] = {}  # by revision: thousands of tasks have it in common
    claims = {task.id: _claim(view, task, reserved) for task in tasks if task.id not in why}
    total = Amounts()
    for claim in claims.values():
        total.update(claim)
    room = Amounts({"cpus": has.nano_cpus, "memory": has.memory_bytes})
    room.update(_pieces(has.generic))
    for id, claim in claims.items():
        short = next((what for what in claim if total[what] > room[what]), None)
        if short is not None:
            amounts = f"{_amount(short, room[short])}, and its tasks reserve {_amount(short, total[short])}"
            why[id] = f"node {name_of(node)} has no more than {amounts}"
            total.subtract(claim)
    return why


def laid_open(view: View, node: Node) -> dict[str, str]:
    """Say which tasks are on an encrypted network on a node that can encrypt no more, and why they go, by their ids.

    Nothing of theirs travels in plaintext, so they only reach their own node.
    """
    if not judged(node) or node.description.networking.encryption:
        return {}
    why: dict[str, str] = {}
    for task in view.find(Task, BY_NODE, node.id):
        name = _encrypted(view, task) if _stands(task) else ""
        if name:
            why[task.id] = f"node {name_of(node)} can no longer encrypt, as network {name} is"
    return why


def _encrypted(view: View, task: Task) -> str:
    """The name of an encrypted network that a task is on; nothing if it is on none."""
    places = (view.get(Network, each.network_id) for each in view.find(Endpoint, BY_TASK, task.id))
    found = (each.spec for each in places if each is not None)
    return next((spec.name for spec in found if network_options.encrypted(spec.options)), "")


def _missing(node: Node, task: Task) -> str:
    """Say which resource that a task was given by its name has gone."""
    here = {(has.kind, has.value) for has in node.description.resources.generic}
    for given in task.generic:
        if given.value and (given.kind, given.value) not in here:
            return f"node {name_of(node)} has no {given.kind} {given.value} any more"
    return ""


def _stands(task: Task) -> bool:
    state = task.status.state
    return task.desired_state.wants_up and TaskState.ASSIGNED <= state < TaskState.COMPLETE


def _claim(view: View, task: Task, reserved: dict[str, Amounts]) -> Amounts:
    """What a task has of its node, but for nothings."""
    claim = reserved.get(task.revision_id)
    if claim is None:
        revision = view.get(Revision, task.revision_id)
        wanted = Resources() if revision is None else revision.spec.task.resources.reservations
        claim = +Amounts({"cpus": wanted.nano_cpus, "memory": wanted.memory_bytes})
        reserved[task.revision_id] = claim
    return claim + _pieces(task.generic) if task.generic else claim


def _pieces(resources: tuple[GenericResource, ...]) -> Amounts:
    pieces = Amounts()
    for resource in resources:
        pieces[f"generic {resource.kind}"] += max(resource.count, 1) if resource.value else resource.count
    return pieces


def _amount(what: str, amount: int) -> str:
    if what == "cpus":
        return f"{amount / 1e9:g} cpus"
    if what == "memory":
        return f"{amount / (1 << 20):.0f} MiB of memory"
    return f"{amount} {what.removeprefix('generic ')}"
