"""What is amiss with what the managers keep. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from covey.model.audit import AuditReport, Finding
from covey.model.objects import KINDS, ClusterVersion, Network, Node, Task
from covey.model.states import TaskState
from covey.model.tables import NetworkTable
from manager.allocator.allocator import Allocator
from manager.dispatcher.tables import network_table
from manager.leader.invariants import validate
from manager.store.transaction import Change
from manager.store.view import View

Versions = Mapping[tuple[str, str], tuple[ClusterVersion, ClusterVersion]]
"""By (node, network): the version of the table that was sent, and the one in force."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment.

    `tasks` are those whose nodes have said that they have them, by node; `known` all there are. `allocator` is one
    made anew of what the store holds.
    """

    findings: tuple[Finding, ...]
    compared: int
    tasks: Mapping[str, frozenset[str]]
    known: frozenset[str]
    allocator: Allocator
    behind: Versions = field(default_factory=dict[tuple[str, str], tuple[ClusterVersion, ClusterVersion]])


def look(view: View, tables: Mapping[str, NetworkTable], given_up: Callable[[], bool], dice: Random) -> Look:
    """Look at a copy of the store, and at the tables the dispatcher has made of it. Takes a while."""
    findings = [Finding("store", "the managers", wrong) for wrong in validate(view)]
    allocator = Allocator(dice)
    compared = 0
    for kind in KINDS:
        for item in view.all(kind):
            allocator.observe(Change(kind, None, item))
            compared += 1
    for table in tables.values():
        if given_up():
            break
        findings += _table(view, table)
        compared += len(table.endpoints) + len(table.services)
    by_node: dict[str, set[str]] = {}
    for task in view.all(Task):
        if task.status.state >= TaskState.ACCEPTED and not task.status.state.terminal:
            by_node.setdefault(task.node_id, set()).add(task.id)
    return Look(
        tuple(findings),
        compared,
        {node_id: frozenset(ids) for node_id, ids in by_node.items()},
        frozenset(task.id for task in view.all(Task)),
        allocator,
    )


def _table(view: View, table: NetworkTable) -> Iterator[Finding]:
    """What the dispatcher sends of a network, against what it would make of the store."""
    network = view.get(Network, table.network_id)
    if network is None:
        yield Finding("table", table.network_id, "a table is kept of a network that is gone")
        return
    right = network_table(view, network, table.version)
    name = network.spec.name
    sent = {row.endpoint_id: row for row in table.endpoints}
    for row in right.endpoints:
        if sent.pop(row.endpoint_id, None) != row:
            yield Finding("table", name, f"the row of endpoint {row.endpoint_id} is missing or an old one")
    for id in sent:
        yield Finding("table", name, f"there is a row of endpoint {id}, which is gone")
    services = {each.service_id: each for each in table.services}
    for each in right.services:
        if services.pop(each.service_id, None) != each:
            yield Finding("table", name, f"the row of service {each.name} is missing or an old one")
    for each in services.values():
        yield Finding("table", name, f"there is a row of service {each.name}, which is not on it")


def standing(view: View, first: Look, second: Look) -> Iterator[Finding]:
    """What both looks found, and what was behind all the time in between."""
    before = set(first.findings)
    yield from dict.fromkeys(each for each in second.findings if each in before)
    for key, (sent, _) in first.behind.items():
        now = second.behind.get(key)
        if now is None or now[1] >= sent:
            continue
        node_id, network_id = key
        network = view.get(Network, network_id)
        place = network.spec.name if network is not None else network_id
        words = f"node {_name(view, node_id)} still follows {_text(now[1])}, and was sent {_text(sent)}"
        yield Finding("table", place, words)


def reported(view: View, first: Look, second: Look, reports: Mapping[str, AuditReport]) -> Iterator[Finding]:
    """What nodes say they have, against what they were given."""
    for node_id, report in reports.items():
        has = set(report.task_ids)
        due = first.tasks.get(node_id, frozenset()) & second.tasks.get(node_id, frozenset())
        for task_id in sorted(due - has) if not report.omitted_tasks else ():
            yield Finding(
                "task", task_id, f"node {_name(view, node_id)} has accepted it, and knows nothing of it"
            )
        for task_id in sorted(has - first.known - second.known):
            yield Finding(
                "task", task_id, f"node {_name(view, node_id)} has it, and the managers do not know it"
            )


def _name(view: View, node_id: str) -> str:
    node = view.get(Node, node_id)
    return node.description.hostname or node_id if node is not None else node_id


def _text(version: ClusterVersion) -> str:
    return f"version {version.epoch}.{version.index}" if version.index else "none"
