"""When a task that is to stop is withdrawn: once nobody who lives sends it anything new."""

from msgspec.structs import replace

from covey.machine import Tick
from covey.model.objects import (
    ClusterVersion,
    Endpoint,
    Node,
    NodeDescription,
    NodeStatus,
    Object,
    Task,
    TaskStatus,
)
from covey.model.states import EndpointState, HealthState, NodeState, TaskState
from manager.dispatcher.events import (
    Committed,
    Disconnected,
    Effect,
    Registered,
    Send,
    TablesInForce,
    TellWithdrawn,
)
from manager.dispatcher.sessions import Sessions
from manager.store.draft import Draft
from tests.support.cluster_objects import change, endpoint, task, two_nodes_one_service

DESCRIPTION = NodeDescription(hostname="host", data_address="192.0.2.1")


class Scene:
    """Nodes n1 to n3, each with a task of `web` (t1 to t3, endpoints e1 to e3 on `net`) and a session (s1...)."""

    def __init__(self) -> None:
        self.tables = two_nodes_one_service()
        third = Node(id="n3", description=DESCRIPTION, status=NodeStatus(state=NodeState.READY))
        running = [replace(task(f"t{i}", f"n{i}"), status=TaskStatus(TaskState.RUNNING)) for i in (1, 2, 3)]
        more = [endpoint(f"e{i}", f"t{i}", f"n{i}", f"10.0.0.{i + 4}") for i in (2, 3)]
        change(self.tables, *self.latest(third, *running, *more))
        self.now_ms = 0
        self.machine = Sessions(self.tables)
        for number in (1, 2, 3):
            self.register(number)
            self.apply(number)

    @property
    def version(self) -> ClusterVersion:
        return ClusterVersion(1, self.tables.index)

    def tick(self) -> list[Effect]:
        self.now_ms += 100
        return list(self.machine.step(Tick(self.now_ms)))

    def told(self, effects: list[Effect]) -> list[tuple[str, tuple[str, ...]]]:
        return [(e.session_id, e.task_ids) for e in effects if isinstance(e, TellWithdrawn)]

    def register(self, number: int, session_id: str = "") -> list[tuple[str, tuple[str, ...]]]:
        event = Registered(session_id or f"s{number}", f"n{number}", "", DESCRIPTION, ClusterVersion())
        return self.told([*self.machine.step(event), *self.tick()])

    def apply(self, number: int, version: ClusterVersion | None = None, session_id: str = "") -> list[object]:
        applied = TablesInForce(session_id or f"s{number}", (("net", version or self.version),))
        return list(self.told([*self.machine.step(applied), *self.tick()]))

    def latest(self, *objects: Object) -> list[Object]:
        """The same in place of whatever the store has."""
        known = [self.tables.get(type(each), each.id) for each in objects]
        return [
            each if before is None else replace(each, meta=before.meta)
            for each, before in zip(objects, known, strict=True)
        ]

    def commit(self, *objects: Object) -> list[Effect]:
        done = change(self.tables, *self.latest(*objects))
        return [*self.machine.step(Committed(done)), *self.tick()]

    def stop(self, *task_ids: str) -> list[Effect]:
        """Tell tasks to stop; their endpoints drain in the same transaction."""
        changed: list[Object] = []
        for id in task_ids:
            known, place = self.tables.get(Task, id), self.tables.get(Endpoint, "e" + id[1:])
            assert known is not None
            changed.append(replace(known, desired_state=TaskState.SHUTDOWN))
            if place is not None:
                changed.append(replace(place, state=EndpointState.DRAINING))
        return self.commit(*changed)


def test_a_task_is_withdrawn_once_every_session_follows_its_draining() -> None:
    scene = Scene()
    assert scene.told(scene.stop("t1")) == []
    assert scene.apply(1) == []
    assert scene.apply(2) == []
    assert scene.apply(3) == [("s1", ("t1",))]
    assert scene.apply(3) == [], "once"


def test_an_older_table_is_not_enough() -> None:
    scene = Scene()
    older = scene.version
    scene.stop("t1")
    for number in (1, 2):
        scene.apply(number)
    assert scene.apply(3, older) == []
    assert scene.apply(3) == [("s1", ("t1",))]


def test_tasks_that_leave_at_once_are_told_of_at_once() -> None:
    scene = Scene()
    scene.stop("t1", "t2")
    scene.apply(1)
    scene.apply(2)
    assert scene.apply(3) == [("s1", ("t1",)), ("s2", ("t2",))]
    assert not scene.machine.withdrawals.holds


def test_the_agent_hears_that_it_is_to_stop_the_task_before_that_it_is_withdrawn() -> None:
    scene = Scene()
    alone = replace(task("t9", "n1"), status=TaskStatus(TaskState.RUNNING))
    scene.commit(alone)
    effects = scene.stop("t9")
    kinds = [type(each) for each in effects]
    assert scene.told(effects) == [("s1", ("t9",))], "nobody could send it anything"
    assert kinds.index(Send) < kinds.index(TellWithdrawn)


def test_an_endpoint_that_does_not_drain_yet_holds_its_task_up() -> None:
    scene = Scene()
    known, place = scene.tables.get(Task, "t1"), scene.tables.get(Endpoint, "e1")
    assert known is not None
    assert place is not None
    scene.commit(replace(known, desired_state=TaskState.SHUTDOWN))
    assert [scene.apply(number) for number in (1, 2, 3)] == [[], [], []]
    scene.commit(replace(place, state=EndpointState.DRAINING))
    assert [scene.apply(number) for number in (1, 2, 3)] == [[], [], [("s1", ("t1",))]]


def test_an_unhealthy_task_is_withdrawn_and_again_when_it_is_told_to_stop() -> None:
    scene = Scene()
    known, place = scene.tables.get(Task, "t1"), scene.tables.get(Endpoint, "e1")
    assert known is not None
    assert place is not None
    status = TaskStatus(TaskState.RUNNING, health=HealthState.UNHEALTHY)
    scene.commit(replace(known, status=status), replace(place, state=EndpointState.DRAINING))
    assert [scene.apply(number) for number in (1, 2, 3)] == [[], [], [("s1", ("t1",))]]
    effects = scene.commit(replace(known, status=status, desired_state=TaskState.SHUTDOWN))
    assert scene.told(effects) == [("s1", ("t1",))]


def test_a_node_that_leaves_the_network_is_waited_for_no_more() -> None:
    scene = Scene()
    scene.stop("t1")
    scene.apply(1)
    scene.apply(2)
    draft = Draft(scene.tables)
    draft.delete(Endpoint, "e3")
    draft.delete(Task, "t3")
    scene.machine.step(Committed(scene.tables.commit(draft.transaction())))
    assert scene.told(scene.tick()) == [("s1", ("t1",))]


def test_a_node_that_is_down_is_waited_for_no_more() -> None:
    scene = Scene()
    scene.stop("t1")
    scene.apply(1)
    scene.apply(2)
    scene.machine.step(Disconnected("s3"))
    assert scene.told(scene.tick()) == [], "its host lives, and sends by what it has"
    node = scene.tables.get(Node, "n3")
    assert node is not None
    effects = scene.commit(replace(node, status=NodeStatus(state=NodeState.DOWN)))
    assert scene.told(effects) == [("s1", ("t1",))]


def test_a_new_session_is_waited_for_until_it_says_what_it_follows() -> None:
    scene = Scene()
    scene.stop("t1")
    scene.apply(1)
    scene.apply(3)
    scene.register(2, "again")
    assert scene.apply(2) == [], "the old session is over"
    assert scene.apply(2, session_id="again") == [("s1", ("t1",))]


def test_the_agents_next_session_hears_it_again() -> None:
    scene = Scene()
    scene.stop("t1")
    assert [scene.apply(number) for number in (1, 2, 3)] == [[], [], [("s1", ("t1",))]]
    assert scene.register(1, "again") == [], "what the host follows is to be heard first"
    assert scene.apply(1, session_id="again") == [("again", ("t1",))]


def test_a_task_withdrawn_while_its_agent_was_away_is_told_of_later() -> None:
    scene = Scene()
    scene.stop("t1")
    scene.apply(1)
    scene.apply(2)
    scene.machine.step(Disconnected("s1"))
    assert scene.apply(3) == []
    scene.register(1, "again")
    assert scene.apply(1, session_id="again") == [("again", ("t1",))]


def test_a_new_leader_asks_all_nodes_again() -> None:
    scene = Scene()
    scene.stop("t1")
    scene.machine = Sessions(scene.tables)
    assert scene.register(1) == []
    assert scene.apply(1) == [], "n2 and n3 are thought alive"
    scene.register(2)
    scene.apply(2)
    scene.register(3)
    assert scene.apply(3) == [("s1", ("t1",))]


def test_a_task_that_has_ended_is_forgotten() -> None:
    scene = Scene()
    scene.stop("t1")
    known = scene.tables.get(Task, "t1")
    assert known is not None
    scene.commit(replace(known, status=TaskStatus(TaskState.SHUTDOWN)))
    assert [scene.apply(number) for number in (1, 2, 3)] == [[], [], []]
    assert not scene.machine.withdrawals.tasks
    assert not scene.machine.withdrawals.holds
