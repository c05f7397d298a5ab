"""The scheduler: which groups wait, when they are tried, and what comes of it."""

from collections import Counter
from collections.abc import Container, Sequence

from msgspec.structs import replace

from covey import limits
from covey.model.objects import Endpoint, Node, Revision, Service, Task, TaskStatus
from covey.model.reasons import with_reason
from covey.model.states import TaskState
from manager.store.draft import Draft
from manager.store.transaction import Change
from manager.store.view import BY_TASK, View

from .demand import Claim, Demand, demand_of, holds_node
from .explanation import explain, explain_one
from .failures import Failures
from .fleet import Fleet, Host
from .group import Group, GroupKey, group_of
from .preferences import Tiers
from .seats import asked, seats_of, turns


class Scheduler:
    """Writes into a draft where pending tasks go. `view` is the store, to read what tasks reserve."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._fleet = Fleet()
        self._failures = Failures()
        self._demands: dict[str, Demand] = {}
        self._pending: dict[GroupKey, dict[str, None]] = {}
        self._bound: dict[str, str] = {}  # pending tasks that have their node already
        self._group_of: dict[str, GroupKey] = {}
        self._fresh: set[GroupKey] = set()
        self._fresh_bound: set[str] = set()
        self._tried: dict[GroupKey, int] = {}  # at which version of the fleet
        self._tried_bound = -1
        self._explained_ms: dict[GroupKey, int] = {}
        self._due_ms: dict[GroupKey, int] = {}

    # --- what is known ---

    def observe(self, change: Change, view: View | None = None) -> None:
        """Take note of a change; `view` is the draft it was written in, if it is not committed."""
        if change.kind is Task:
            after = change.after
            self._failures.observe(change.before, after)
            self._observe_task(change.id, after if isinstance(after, Task) else None, view or self._view)
        elif change.kind is Node:
            after = change.after
            self._fleet.observe_node(change.id, after if isinstance(after, Node) else None)
        elif change.kind is Revision and change.after is None:
            self._demands.pop(change.id, None)
            self._failures.forget(change.id)
        elif change.kind is Service and isinstance(change.after, Service):
            key = (change.id, change.after.revision_id)
            if key in self._pending:
                self._fresh.add(key)

    def _observe_task(self, id: str, task: Task | None, view: View) -> None:
        claim = None
        if task is not None and holds_node(task):
            active = task.desired_state.wants_up
            demand = self._demand(task, view)
            claim = Claim(task.node_id, task.service_id, task.slot, active, demand, task.generic)
        self._fleet.observe_claim(id, claim)
        waits = task is not None and task.status.state is TaskState.PENDING and task.desired_state.wants_up
        if not waits or task is None:
            self._forget(id)
        elif task.node_id:
            self._bound[id] = task.node_id
            self._fresh_bound.add(id)
        elif id not in self._group_of or not task.status.err:
            key = (task.service_id, task.revision_id)
            self._group_of[id] = key
            self._pending.setdefault(key, {})[id] = None
            self._fresh.add(key)

    def _demand(self, task: Task, view: View) -> Demand:
        known = self._demands.get(task.revision_id)
        if known is None:
            revision, service = view.get(Revision, task.revision_id), view.get(Service, task.service_id)
            if revision is None:
                return Demand()  # it has gone meanwhile, and word that the task went too is on its way
            known = demand_of(revision, service)
            if known.nano_cpus or known.memory_bytes or not revision.spec.endpoint.ports:
                self._demands[task.revision_id] = known
        return known

    def _forget(self, task_id: str) -> None:
        self._bound.pop(task_id, None)
        self._fresh_bound.discard(task_id)
        key = self._group_of.pop(task_id, None)
        if key is not None:
            group = self._pending[key]
            del group[task_id]
            if not group:
                del self._pending[key]
                for memory in (self._tried, self._explained_ms, self._due_ms):
                    memory.pop(key, None)
                self._fresh.discard(key)

    @property
    def busy(self) -> bool:
        """Tell whether there is something to try now."""
        if self._fresh or self._fresh_bound or (self._bound and self._tried_bound != self._fleet.version):
            return True
        return any(version != self._fleet.version for version in self._tried.values())

    @property
    def wake_at_ms(self) -> int | None:
        """Say when an explanation may be written anew."""
        return min(self._due_ms.values(), default=None)

    # --- planning ---

    def plan(
        self, draft: Draft, now_ms: int, now_ns: int, objects_max: int, blocked: Container[str] = ()
    ) -> None:
        """Place what can be placed, about `objects_max` tasks at most, and explain the rest.

        `blocked` tasks lack an address or a port and are left alone.
        """
        self._failures.tell(now_ms)
        writer = _Writer(draft, self._fleet, now_ns, objects_max)
        self._plan_bound(draft, writer, blocked)
        for key in list(self._pending):
            if writer.left <= 0:
                self._fresh.update(key for key in self._pending if key not in self._tried)
                return
            due = self._due_ms.get(key, now_ms + 1) <= now_ms
            if key in self._fresh or due or self._tried.get(key) != self._fleet.version:
                self._plan_group(draft, writer, key, now_ms, blocked)

    def _plan_bound(self, draft: Draft, writer: "_Writer", blocked: Container[str]) -> None:
        """Check the tasks that come with a node."""
        again = self._tried_bound != self._fleet.version
        todo = list(self._bound) if again else [id for id in self._bound if id in self._fresh_bound]
        self._fresh_bound.clear()
        for task_id in todo:
            task = draft.get(Task, task_id)
            group = group_of(draft, (task.service_id, task.revision_id)) if task is not None else None
            if task is None or group is None or task_id in blocked:
                continue
            if writer.left <= 0:
                self._fresh_bound.add(task_id)
                continue
            host = self._fleet.hosts.get(task.node_id)
            hosts = [host] if host is not None else []
            seats, ruled_out = seats_of(group, hosts)
            if seats:
                writer.assign(task, seats[0][0], group)
                self._bound.pop(task_id, None)
            elif ruled_out:
                writer.explain(task, explain_one(ruled_out))
        self._tried_bound = self._fleet.version

    def _plan_group(
        self, draft: Draft, writer: "_Writer", key: GroupKey, now_ms: int, blocked: Container[str]
    ) -> None:
        self._fresh.discard(key)
        self._due_ms.pop(key, None)
        group = group_of(draft, key)
        tasks = [task for id in self._pending[key] if id not in blocked and (task := draft.get(Task, id))]
        if group is None or not tasks:
            self._tried[key] = self._fleet.version
            return
        group.failing = self._failures.failing(key[1], now_ms)
        if len(tasks) == 1 and (host := self._least_loaded(group, tasks[0])) is not None:
            writer.assign(tasks[0], host, group)
            self._forget(tasks[0].id)
            return
        batch = tasks[: writer.left]
        hosts = self._fleet.sorted()
        service_id = group.service.id
        leaving = Counter(id for task in batch for id in self._fleet.in_slot(service_id, task.slot))
        seats, _ = seats_of(group, hosts, leaving)
        writer.left -= len(hosts) // limits.nodes_asked_per_object
        placed = 0
        if seats:
            for task, host in zip(batch, turns(seats, group, len(batch)), strict=False):
                writer.assign(task, host, group)
                self._forget(task.id)
                placed += 1
        waiting = tasks[placed:]
        if len(batch) < len(tasks) and placed == len(batch):
            self._fresh.add(key)
        elif waiting:
            _, ruled_out = seats_of(group, hosts)
            self._tried[key] = self._fleet.version
            self._explain(writer, key, waiting, explain(ruled_out, len(hosts)), now_ms)

    def _least_loaded(self, group: Group, task: Task) -> Host | None:
        """Find the place of a task that is alone without asking every node; None if they must be asked.

        The first open node by load that has room, none of the service's tasks, and nothing that speaks against
        it is what pouring gives too.
        """
        service_id = group.service.id
        if group.placement.preferences or self._fleet.in_slot(service_id, task.slot):
            return None
        filters, tiers = asked(group), Tiers(group)
        for number, host in enumerate(self._fleet.by_load()):
            if number >= limits.nodes_asked_per_object:
                return None
            if host.count(service_id) or not tiers.first(host):
                continue
            if all(filter.room(host) > 0 for filter in filters):
                return host
        return None

    def _explain(
        self, writer: "_Writer", key: GroupKey, tasks: Sequence[Task], text: str, now_ms: int
    ) -> None:
        """Write why these tasks wait. What has a reason already gets a new one only every now and then."""
        stale = [task for task in tasks if task.status.err != text]
        if not stale:
            return
        fresh_at_ms = self._explained_ms.get(key, now_ms) + limits.explanation_refresh_ms
        if key in self._explained_ms and now_ms < fresh_at_ms:
            stale = [task for task in stale if not task.status.err]
            self._due_ms[key] = fresh_at_ms
        else:
            self._explained_ms[key] = now_ms
        if len(stale) > writer.left:
            self._fresh.add(key)
        for task in stale[: max(writer.left, 0)]:
            writer.explain(task, text)


class _Writer:
    """Writes the outcome for one task after another, into the draft and into the fleet."""

    def __init__(self, draft: Draft, fleet: Fleet, now_ns: int, objects_max: int) -> None:
        self._draft = draft
        self._fleet = fleet
        self._now_ns = now_ns
        self.left = objects_max

    def assign(self, task: Task, host: Host, group: Group) -> None:
        """Give a task its node, and its endpoints theirs."""
        status = TaskStatus(TaskState.ASSIGNED, "the scheduler chose a node", "", self._now_ns)
        node_id = host.node.id
        generic = host.pick(group.demand.generic)
        self._draft.put(replace(task, node_id=node_id, status=with_reason(task, status), generic=generic))
        if group.revision.spec.task.networks or group.revision.spec.endpoint.ports:
            for endpoint in self._draft.find(Endpoint, BY_TASK, task.id):
                self._draft.put(replace(endpoint, node_id=node_id))
        claim = Claim(node_id, task.service_id, task.slot, True, group.demand, generic)
        self._fleet.observe_claim(task.id, claim)
        self.left -= 1

    def explain(self, task: Task, text: str) -> None:
        """Have a task say why it waits, if it does not already."""
        if task.status.err != text:
            self._draft.put(replace(task, status=replace(task.status, err=text, at_ns=self._now_ns)))
            self.left -= 1
