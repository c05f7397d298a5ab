"""What agents are told, and when."""

import pytest
from msgspec.structs import replace

from covey import limits
from covey.machine import Tick
from covey.model.assignments import Assignments, TaskReport
from covey.model.objects import (
    ClusterVersion,
    Endpoint,
    Meta,
    Node,
    NodeDescription,
    Revision,
    Service,
    Task,
    TaskStatus,
)
from covey.model.specs import EndpointSpec, PortConfig
from covey.model.states import NodeRole, NodeState, PublishMode, TaskState
from covey.model.tables import NetworkTable, NetworkTableDelta
from manager.dispatcher.events import (
    Acknowledge,
    Committed,
    Disconnected,
    Effect,
    EndSession,
    HeartbeatReceived,
    Registered,
    Send,
    SignedOff,
    StartSession,
    StatusesReported,
    StatusesWritten,
    TablesInForce,
    TellMembership,
    WriteNode,
    WriteStatuses,
)
from manager.dispatcher.sessions import Sessions
from manager.store.draft import Draft
from manager.store.tables import Tables
from tests.support.cluster_objects import change, endpoint, task, two_nodes_one_service

DESCRIPTION = NodeDescription(hostname="host1", data_address="192.0.2.1")


def register(
    machine: Sessions, session_id: str, node_id: str, seen: ClusterVersion | None = None
) -> list[Effect]:
    event = Registered(session_id, node_id, "192.0.2.9", DESCRIPTION, seen or ClusterVersion())
    return list(machine.step(event))


def commit(machine: Sessions, tables: Tables, *objects: object, now_ms: int) -> list[Effect]:
    done = change(tables, *objects)  # type: ignore[arg-type]
    return [*machine.step(Committed(done)), *machine.step(Tick(now_ms))]


def test_a_session_starts_with_everything_the_node_must_know() -> None:
    tables = two_nodes_one_service()
    written, started, membership, assignments, table = register(Sessions(tables), "s", "n1")
    assert written == WriteNode("n1", NodeState.READY, "", "192.0.2.9", DESCRIPTION)
    assert isinstance(started, StartSession)
    assert membership == TellMembership("s", NodeRole.WORKER, ())
    assert isinstance(assignments, Send)
    assert isinstance(assignments.message, Assignments)
    changed = assignments.message.changed
    assert assignments.message.full
    assert [t.id for t in changed.tasks] == ["t1"]
    assert [r.id for r in changed.revisions] == ["r1"]
    assert [n.id for n in changed.networks] == ["net"]
    assert [e.id for e in changed.endpoints] == ["e1"]
    assert isinstance(table, Send)
    assert isinstance(table.message, NetworkTable)
    assert [(r.endpoint_id, r.vtep, r.task_name) for r in table.message.endpoints] == [
        ("e1", "192.0.2.1", "web.1.t1")
    ]
    assert [s.name for s in table.message.services] == ["web"]


def test_a_node_with_no_tasks_gets_no_tables() -> None:
    effects = register(Sessions(two_nodes_one_service()), "s", "n2")
    assert [type(e) for e in effects] == [WriteNode, StartSession, TellMembership, Send]


def test_differences_chain_from_the_version_sent_before() -> None:
    tables = two_nodes_one_service()
    machine = Sessions(tables)
    first = register(machine, "s", "n1")[3]
    assert isinstance(first, Send)
    sent = commit(machine, tables, task("t2", "n1"), endpoint("e2", "t2", "n1", "10.0.0.6"), now_ms=1000)
    assert isinstance(sent[0], Send)
    assert isinstance(sent[0].message, Assignments)
    assert sent[0].message.applies_to == first.message.version
    assert [t.id for t in sent[0].message.changed.tasks] == ["t2"]
    assert isinstance(sent[1], Send)
    assert isinstance(sent[1].message, NetworkTableDelta)
    assert [r.endpoint_id for r in sent[1].message.endpoints] == ["e2"]
    again = commit(machine, tables, task("t3", "n1"), now_ms=2000)
    assert isinstance(again[0], Send)
    assert isinstance(again[0].message, Assignments)
    assert again[0].message.applies_to == sent[0].message.version


def test_a_network_the_node_leaves_is_spoken_of_no_more() -> None:
    tables = two_nodes_one_service()
    machine = Sessions(tables)
    register(machine, "s", "n1")
    draft = Draft(tables)
    draft.delete(Endpoint, "e1")
    machine.step(Committed(tables.commit(draft.transaction())))
    (sent,) = machine.step(Tick(1000))
    assert isinstance(sent, Send)
    assert isinstance(sent.message, Assignments)
    assert sent.message.removed_networks == ("net",)


def test_an_agents_own_report_is_not_sent_back_to_it() -> None:
    tables = two_nodes_one_service()
    machine = Sessions(tables)
    register(machine, "s", "n1")
    known = tables.get(Task, "t1")
    assert known is not None
    running = replace(known, status=TaskStatus(state=TaskState.RUNNING))
    assert commit(machine, tables, running, now_ms=1000) == []


def test_a_status_is_acknowledged_only_once_it_is_written() -> None:
    machine = Sessions(two_nodes_one_service())
    register(machine, "s", "n1")
    report = TaskReport("t1", TaskStatus(state=TaskState.RUNNING))
    assert machine.step(StatusesReported("s", 7, (report,))) == ()
    assert machine.step(Tick(1000)) == [WriteStatuses((("n1", report),), (("s", 7),))]
    assert machine.step(StatusesWritten((("s", 7),))) == [Acknowledge("s", 7)]


def test_a_manager_that_lags_sends_nothing_until_it_has_caught_up() -> None:
    tables = two_nodes_one_service()
    machine = Sessions(tables)
    ahead = ClusterVersion(1, tables.index + 1)
    assert [type(e) for e in register(machine, "s", "n1", ahead)] == [WriteNode]
    effects = commit(machine, tables, Node(id="n3"), now_ms=1000)
    assert [type(e) for e in effects] == [StartSession, TellMembership, Send, Send]


def test_a_newer_epoch_is_refused() -> None:
    effects = register(Sessions(two_nodes_one_service()), "s", "n1", ClusterVersion(2, 0))
    assert effects == [EndSession("s", "the node has seen epoch 2, and this manager is at 1")]


def test_a_second_session_ends_the_first() -> None:
    machine = Sessions(two_nodes_one_service())
    register(machine, "s1", "n1")
    assert register(machine, "s2", "n1")[0] == EndSession("s1", "the node opened another session")
    assert machine.step(HeartbeatReceived("s1")) == ()
    assert machine.by_node == {"n1": "s2"}


def test_a_removed_node_loses_its_session_and_strangers_get_none() -> None:
    tables = two_nodes_one_service()
    machine = Sessions(tables)
    register(machine, "s", "n2")
    draft = Draft(tables)
    draft.delete(Node, "n2")
    done = tables.commit(draft.transaction())
    assert machine.step(Committed(done)) == [EndSession("s", "the node was removed from the cluster")]
    assert register(machine, "s3", "n2") == [EndSession("s3", "node n2 is not a member of this cluster")]


def marked_down(machine: Sessions) -> list[tuple[int, str]]:
    return [
        (now_ms, effect.node_id)
        for now_ms in range(500, 20_000, 500)
        for effect in machine.step(Tick(now_ms))
        if isinstance(effect, WriteNode)
    ]


def test_silence_marks_a_node_down() -> None:
    machine = Sessions(two_nodes_one_service())
    register(machine, "s", "n1")
    assert marked_down(machine) == [
        (3000, "n1"),
        (15_000, "n2"),
    ]  # n2 was only expected: agents come back late


def test_a_host_that_closes_its_connection_lives_and_may_start_its_agent_anew() -> None:
    machine = Sessions(two_nodes_one_service())
    register(machine, "s", "n1")
    machine.step(Disconnected("s"))
    assert marked_down(machine)[0] == (15_000, "n1")


def test_a_connection_that_was_replaced_says_nothing_when_it_closes() -> None:
    machine = Sessions(two_nodes_one_service())
    register(machine, "s", "n1")
    register(machine, "s2", "n1")
    machine.step(Disconnected("s"))
    assert marked_down(machine)[0] == (3000, "n1")


def test_a_node_that_signs_off_is_down_at_once_and_once() -> None:
    machine = Sessions(two_nodes_one_service())
    register(machine, "s", "n1")
    write, end = machine.step(SignedOff("n1"))
    assert isinstance(write, WriteNode)
    assert (write.node_id, write.state, write.message) == ("n1", NodeState.DOWN, "the node left the cluster")
    assert end == EndSession("s", "the node left the cluster")
    machine.step(Disconnected("s"))
    assert [node for _, node in marked_down(machine)] == ["n2"]


def test_applied_versions_are_known_per_node() -> None:
    machine = Sessions(two_nodes_one_service())
    table = register(machine, "s", "n1")[3]
    assert isinstance(table, Send)
    machine.step(TablesInForce("s", (("net", table.message.version), ("other", ClusterVersion(1, 1)))))
    assert machine.applied("net") == {"n1": table.message.version}
    assert machine.applied("other") == {}


def test_a_silent_node_loses_its_session_so_that_it_must_register_to_be_ready() -> None:
    machine = Sessions(two_nodes_one_service())
    machine.step(Tick(0))
    register(machine, "s", "n1")
    effects = [effect for now_ms in range(500, 5000, 500) for effect in machine.step(Tick(now_ms))]
    assert [e.state for e in effects if isinstance(e, WriteNode) and e.node_id == "n1"] == [NodeState.DOWN]
    assert [e.session_id for e in effects if isinstance(e, EndSession)] == ["s"]
    assert not machine.step(HeartbeatReceived("s")), "the old connection makes nobody alive"
    assert isinstance(register(machine, "s2", "n1")[0], WriteNode)


def test_agents_are_told_the_numbers_of_ports_that_asked_for_none() -> None:
    tables = two_nodes_one_service()
    service, revision = tables.get(Service, "web"), tables.get(Revision, "r1")
    assert service is not None
    assert revision is not None
    asked = PortConfig(target_port=80, publish_mode=PublishMode.HOST)
    spec = replace(revision.spec, endpoint=EndpointSpec(ports=(asked,)))
    given = replace(asked, published_port=30_001)
    change(tables, replace(revision, spec=spec), replace(service, ports=(given,)))
    sent = register(Sessions(tables), "s", "n1")[3]
    assert isinstance(sent, Send)
    assert isinstance(sent.message, Assignments)
    assert sent.message.changed.revisions[0].spec.endpoint.ports == (given,)


def test_many_nodes_are_told_in_turns_and_each_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "flush_tasks_max", 1)
    tables = two_nodes_one_service()
    machine = Sessions(tables)
    register(machine, "s1", "n1")
    register(machine, "s2", "n2")
    first = commit(machine, tables, task("t8", "n1"), task("t9", "n2"), now_ms=1000)
    assert [e.session_id for e in first if isinstance(e, Send)] == ["s1"]
    assert machine.flush_at_ms == 1000  # the rest is due at once
    machine.step(Committed(change(tables, task("t7", "n1"))))
    second = machine.step(Tick(1001))
    assert [e.session_id for e in second if isinstance(e, Send)] == ["s2"]  # first come, first told
    third = machine.step(Tick(1002))
    assert [e.session_id for e in third if isinstance(e, Send)] == ["s1"]
    assert machine.flush_at_ms is None


def held_by(
    machine: Sessions, session_id: str, *held: ClusterVersion
) -> list[NetworkTable | NetworkTableDelta]:
    """What is sent of tables to an agent that opens a session with its table of this version."""
    tables = tuple(("net", version) for version in held)
    seen = max(held, default=ClusterVersion())
    effects = machine.step(Registered(session_id, "n1", "192.0.2.9", DESCRIPTION, seen, tables))
    sent = [each.message for each in effects if isinstance(each, Send)]
    return [each for each in sent if isinstance(each, NetworkTable | NetworkTableDelta)]


def test_an_agent_that_comes_back_gets_what_it_lacks() -> None:
    tables = two_nodes_one_service()
    machine = Sessions(tables)
    (whole,) = held_by(machine, "s1")
    assert isinstance(whole, NetworkTable)
    assert held_by(machine, "s2", whole.version) == [], "it has it"
    for number in (2, 3):
        commit(machine, tables, endpoint(f"e{number}", "t1", "n1", f"10.0.0.{number}"), now_ms=number * 1000)
    first, second = held_by(machine, "s3", whole.version)
    assert isinstance(first, NetworkTableDelta)
    assert (first.applies_to, second.version) == (whole.version, machine.tables["net"].version)
    assert held_by(machine, "s4", first.version) == [second]
    assert held_by(machine, "s5", ClusterVersion(0, 1)) == [machine.tables["net"]], (
        "nobody remembers that one"
    )


def test_a_table_of_a_network_that_the_node_had_left_is_sent_whole() -> None:
    """The agent drops it with the full assignments, whatever it said it had."""
    tables = two_nodes_one_service()
    machine = Sessions(tables)
    (whole,) = held_by(machine, "s1")
    draft = Draft(tables)
    draft.delete(Endpoint, "e1")
    machine.step(Committed(tables.commit(draft.transaction())))
    machine.step(Tick(1000))
    assert held_by(machine, "s2", whole.version) == []
    again = commit(machine, tables, endpoint("e2", "t1", "n1", "10.0.0.6"), now_ms=2000)
    assert any(isinstance(each, Send) and isinstance(each.message, NetworkTable) for each in again)


def test_of_a_service_that_is_gone_before_anybody_heard_of_its_end_nothing_is_left() -> None:
    """The store may be ahead of what is heard of its commits."""
    tables = two_nodes_one_service()
    first = tables.get(Revision, "r1")
    assert first is not None
    idle = Service(id="idle", name="idle", revision_id="r2")  # without tasks, and without a virtual address
    change(tables, idle, replace(first, id="r2", service_id="idle", meta=Meta()))
    machine = Sessions(tables)
    (whole,) = held_by(machine, "s1")
    assert isinstance(whole, NetworkTable)
    assert [each.name for each in whole.services] == ["idle", "web"]
    there = tables.get(Service, "idle")
    assert there is not None
    ending = change(tables, replace(there, pending_delete=True))
    draft = Draft(tables)
    draft.delete(Service, "idle")
    draft.delete(Revision, "r2")
    for each in (ending, tables.commit(draft.transaction())):
        machine.step(Committed(each))
    machine.step(Tick(1_000))
    assert [each.name for each in machine.tables["net"].services] == ["web"]
