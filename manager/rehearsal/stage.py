"""The stage: the leader's machine on private tables, with agents that do at once what they are told."""

from collections.abc import Callable
from random import Random

from msgspec.structs import replace

from covey import errors, limits
from covey.machine import Tick
from covey.model.objects import Node, Revision, Service, Task, TaskStatus
from covey.model.states import NodeState, TaskState, UpdateState
from manager.leader.machine import Changed, Committed, Leader, Refused
from manager.store.draft import Draft
from manager.store.tables import Tables
from manager.store.transaction import Change, Commit, Transaction
from manager.store.view import BY_SERVICE

_UNDER_WAY = (UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED)


class Stage:
    """One rehearsal. `tables` are its own, and changed; `note` hears of every change to a task, in order."""

    def __init__(self, tables: Tables, dice: Random, now_ns: int) -> None:
        self.tables = tables
        self.note: Callable[[Change], None] = lambda _change: None
        self._begun_ns = now_ns
        self._now_ms = 0
        self._leader = Leader(tables, dice, self._now_ms, self._now_ns)
        self._moving = dict.fromkeys(
            task.id for task in tables.all(Task)
        )  # an agent may have to do something

    def make(self, change: Callable[[Draft], str]) -> tuple[str, Revision | None]:
        """Make the change that is rehearsed; returns its service's id, and the revision that was current before."""
        draft = Draft(self.tables)
        service_id = change(draft)
        present = self.tables.get(Service, service_id)
        before = self.tables.get(Revision, present.revision_id) if present is not None else None
        if transaction := draft.transaction():
            self._tell(self._commit(transaction))
        return service_id, before

    def play(self, service_id: str, given_up: Callable[[], bool]) -> bool:
        """Let it happen; tells whether it came to its end within the bounds, and before it was given up.

        The managers see the change first: what a job runs has not ended by then.
        """
        due_ms = self._leader.wake_at_ms
        if due_ms is not None and due_ms <= limits.planner_debounce_ms:
            self._now_ms = due_ms
            self._plan()
        for _ in range(limits.rehearsal_rounds_max):
            if given_up():
                return False
            self._act(service_id)
            wake_at_ms = self._leader.wake_at_ms
            if wake_at_ms is None:
                return True
            if wake_at_ms > self._now_ms + limits.planner_debounce_ms and self._rests(service_id):
                return True
            self._now_ms = max(self._now_ms, wake_at_ms)
            self._plan()
        return False

    def _now_ns(self) -> int:
        return self._begun_ns + self._now_ms * 1_000_000

    def _plan(self) -> None:
        for effect in self._leader.step(Tick(self._now_ms)):
            try:
                commit = self._commit(effect.transaction)
            except errors.Refused as error:
                self._leader.step(Refused(error))
            else:
                self._leader.step(Committed())
                self._tell(commit)

    def _commit(self, transaction: Transaction) -> Commit:
        return self.tables.commit(transaction, self._now_ns())

    def _tell(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind is Task:
                self._moving[change.id] = None
                self.note(change)
        self._leader.step(Changed(commit))

    def _act(self, service_id: str) -> None:
        """Have each agent that answers do all that is wanted of its tasks, and say so."""
        moving, self._moving = self._moving, {}
        draft = Draft(self.tables)
        for task_id in moving:
            task = draft.get(Task, task_id)
            if task is None or not task.node_id:
                continue
            node = draft.get(Node, task.node_id)
            if node is None or node.status.state is not NodeState.READY:
                continue
            state = _obeyed(task, finishes=task.service_id == service_id)
            if state is not None:
                draft.put(replace(task, status=TaskStatus(state, "rehearsed", "", self._now_ns())))
        if transaction := draft.transaction():
            self._tell(self._commit(transaction))

    def _rests(self, service_id: str) -> bool:
        """Tell whether nothing of the service is on its way any more, so that only time could pass."""
        service = self.tables.get(Service, service_id)
        if service is None:
            return True
        if service.update_status.state in _UNDER_WAY and not service.stopped:
            return False
        return not any(self._comes(task) for task in self.tables.find(Task, BY_SERVICE, service_id))

    def _comes(self, task: Task) -> bool:
        """Tell whether a task is still to come: it is held back for now, or was not dealt with."""
        status = task.status
        if not task.desired_state.wants_up or status.state.terminal:
            return False
        if status.state <= TaskState.PENDING:
            return not status.err
        return task.desired_state < TaskState.RUNNING


def _obeyed(task: Task, *, finishes: bool) -> TaskState | None:
    """The state an agent brings a task to, if that is another one. Jobs end only where they are rehearsed."""
    state, wanted = task.status.state, task.desired_state
    if state < TaskState.ASSIGNED or state.terminal:
        return None
    if not wanted.wants_up:
        return TaskState.SHUTDOWN
    reached = TaskState.RUNNING if wanted is TaskState.COMPLETE and not finishes else wanted
    return reached if reached > state else None
