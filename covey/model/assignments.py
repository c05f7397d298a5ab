"""Assignments: what a manager tells one agent to run.

An agent holds one set, keyed by id within each kind. It arrives whole when a session starts, then as
numbered differences: each names the version it applies to, and one that does not fit means that
something was missed, so the agent ends the session and starts anew.
"""

from covey.model.objects import ClusterVersion, Endpoint, Network, Node, Part, Revision, Task, TaskStatus


class AssignmentSet(Part, frozen=True):
    """Everything one node must know to run its tasks. Tuples are ordered by id.

    `nodes` is the node itself as the managers have it, with no more than its labels and what it said of
    itself: templates ask for them.
    """

    tasks: tuple[Task, ...] = ()
    revisions: tuple[Revision, ...] = ()
    networks: tuple[Network, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    nodes: tuple[Node, ...] = ()


class Assignments(Part, frozen=True):
    """The set as a whole (`full`), or what changed since `applies_to`.

    In a difference, objects replace those with the same id, and the `removed` ids are forgotten.
    """

    full: bool = False
    applies_to: ClusterVersion = ClusterVersion()
    version: ClusterVersion = ClusterVersion()
    changed: AssignmentSet = AssignmentSet()
    removed_tasks: tuple[str, ...] = ()
    removed_revisions: tuple[str, ...] = ()
    removed_networks: tuple[str, ...] = ()
    removed_endpoints: tuple[str, ...] = ()
    removed_nodes: tuple[str, ...] = ()


class TaskReport(Part, frozen=True):
    """An agent's word on one task."""

    task_id: str = ""
    status: TaskStatus = TaskStatus()
