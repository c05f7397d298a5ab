from random import Random

import pytest
from msgspec.structs import replace

from agent.session.events import (
    Assign,
    Connected,
    Dial,
    Disconnected,
    DropTable,
    Effect,
    HangUp,
    Heard,
    Redescribed,
    Remarked,
    Remember,
    Send,
    StatusChanged,
    Subscribe,
    TableInForce,
    TasksDropped,
    UseTable,
)
from agent.session.machine import NEVER, Session
from agent.session.messages import (
    Alive,
    Down,
    Heartbeat,
    LogSubscription,
    Register,
    SessionStarted,
    StatusAcknowledged,
    StatusReport,
    TablesApplied,
    TableVersion,
)
from covey import limits
from covey.machine import Tick
from covey.model.assignments import Assignments, AssignmentSet, TaskReport
from covey.model.objects import ClusterVersion, Network, NodeDescription, NodeNetworking, TaskStatus
from covey.model.states import TaskState
from covey.model.tables import EndpointRow, NetworkTable, NetworkTableDelta, ServiceRow

ME = NodeDescription(hostname="host1")
STARTED = SessionStarted("s1", 1000, ClusterVersion(1, 10))
SET = Assignments(
    full=True, version=ClusterVersion(1, 10), changed=AssignmentSet(networks=(Network(id="net"),))
)
TABLE = NetworkTable(
    "net", ClusterVersion(1, 10), (EndpointRow("e1"), EndpointRow("e2")), (ServiceRow("web"),)
)


def new(managers: tuple[str, ...] = ("m1:2377",), last_seen: ClusterVersion = NEVER) -> Session:
    return Session(ME, managers, Random(1), last_seen)


def opened(session: Session | None = None, index: int = 10) -> Session:
    session = session or new()
    session.step(Tick(max(session.now_ms, session.dial_at_ms)))
    session.step(Connected(session.number))
    session.step(Heard(session.number, SessionStarted("s1", 1000, ClusterVersion(1, index))))
    return session


def hear(session: Session, message: Down) -> list[Effect]:
    return list(session.step(Heard(session.number, message)))


def report(id: str, state: TaskState = TaskState.RUNNING) -> TaskReport:
    return TaskReport(id, TaskStatus(state=state))


def sent(effects: list[Effect]) -> list[object]:
    return [e.message for e in effects if isinstance(e, Send)]


def test_it_dials_and_says_who_it_is_and_what_it_has_seen() -> None:
    session = new(last_seen=ClusterVersion(1, 7))
    assert session.step(Tick(0)) == (Dial(1, "m1:2377"),)
    assert session.step(Connected(1)) == (Send(1, Register(ME, ClusterVersion(1, 7))),)


def test_it_beats_once_a_period() -> None:
    session = opened()
    beats = []
    for now in range(1, 5001):
        if Heartbeat() in sent(list(session.step(Tick(now)))):
            beats.append(now)
            hear(session, Alive())
    assert beats == [1000, 2000, 3000, 4000, 5000]


def test_pauses_grow_are_jittered_and_bounded() -> None:
    session, pauses = new(), []
    for _ in range(12):
        session.step(Tick(session.dial_at_ms))
        session.step(Disconnected(session.number, "refused"))
        pauses.append(session.dial_at_ms - session.now_ms)
    assert limits.reconnect_backoff_ms_min // 2 <= pauses[0] <= limits.reconnect_backoff_ms_min
    assert limits.reconnect_backoff_ms_max // 2 <= pauses[-1] <= limits.reconnect_backoff_ms_max
    assert len(set(pauses[-5:])) > 1


def test_a_session_that_was_of_use_makes_the_next_pause_short_again() -> None:
    session = new()
    for _ in range(8):
        session.step(Tick(session.dial_at_ms))
        session.step(Disconnected(session.number, "refused"))
    opened(session)
    hear(session, SET)
    session.step(Disconnected(session.number, "cut"))
    assert session.dial_at_ms - session.now_ms <= limits.reconnect_backoff_ms_min


def test_it_tries_another_manager_after_a_failure() -> None:
    session = new(("m1", "m2"))
    addresses = []
    for _ in range(4):
        addresses += [e.address for e in session.step(Tick(session.dial_at_ms)) if isinstance(e, Dial)]
        session.step(Disconnected(session.number, "refused"))
    assert addresses[0] != addresses[1] != addresses[2] != addresses[3]


def test_a_manager_that_does_not_answer_is_left() -> None:
    session = new()
    session.step(Tick(0))
    session.step(Connected(1))
    (effect,) = session.step(Tick(limits.register_timeout_ms))
    assert isinstance(effect, HangUp)


def test_a_manager_behind_what_was_seen_is_refused() -> None:
    session = new(last_seen=ClusterVersion(1, 11))
    session.step(Tick(0))
    session.step(Connected(1))
    (effect,) = hear(session, STARTED)
    assert isinstance(effect, HangUp)
    assert "1.10, behind 1.11" in effect.reason
    session = opened(new(last_seen=ClusterVersion(1, 10)))
    (effect,) = hear(session, Assignments(full=True, version=ClusterVersion(1, 9)))
    assert isinstance(effect, HangUp)


def test_a_restored_cluster_of_a_higher_epoch_is_newer() -> None:
    session = new(last_seen=ClusterVersion(1, 1000))
    session.step(Tick(0))
    session.step(Connected(1))
    restored = SessionStarted("s1", 1000, ClusterVersion(2, 3))
    assert not any(isinstance(e, HangUp) for e in hear(session, restored))


def test_assignments_are_handed_on_if_they_fit_and_remembered_after() -> None:
    session = opened()
    assert hear(session, SET) == [Assign(SET), Remember(ClusterVersion(1, 10), ("m1:2377",))]
    fitting = Assignments(applies_to=ClusterVersion(1, 10), version=ClusterVersion(1, 12))
    assert hear(session, fitting) == [Assign(fitting), Remember(ClusterVersion(1, 12), ("m1:2377",))]
    (effect,) = hear(session, Assignments(applies_to=ClusterVersion(1, 11), version=ClusterVersion(1, 13)))
    assert isinstance(effect, HangUp)


def test_a_difference_before_the_full_set_ends_the_session() -> None:
    (effect,) = hear(opened(), Assignments(version=ClusterVersion(1, 11)))
    assert isinstance(effect, HangUp)


def test_nothing_is_believed_before_the_session_has_started() -> None:
    session = new()
    session.step(Tick(0))
    session.step(Connected(1))
    (effect,) = hear(session, SET)
    assert isinstance(effect, HangUp)


def test_old_streams_are_not_heard() -> None:
    session = opened()
    session.step(Disconnected(1, "cut"))
    assert session.step(Heard(1, SET)) == ()
    session.step(Tick(session.dial_at_ms))
    assert session.step(Heard(1, SET)) == ()
    assert session.step(Disconnected(1, "again")) == ()


def test_tables_are_kept_changed_and_dropped() -> None:
    session = opened()
    hear(session, SET)
    assert UseTable(TABLE) in hear(session, TABLE)
    delta = NetworkTableDelta(
        "net", ClusterVersion(1, 10), ClusterVersion(1, 11), (EndpointRow("e3"),), ("e1",), (), ("web",)
    )
    table = NetworkTable("net", ClusterVersion(1, 11), (EndpointRow("e2"), EndpointRow("e3")), ())
    assert hear(session, delta) == [UseTable(table, delta), Remember(ClusterVersion(1, 11), ("m1:2377",))]
    (effect,) = hear(session, delta)
    assert isinstance(effect, HangUp)

    session = opened(session, 12)
    effects = hear(session, Assignments(full=True, version=ClusterVersion(1, 12)))
    assert DropTable("net") in effects
    assert session.tables == {}


def test_a_table_of_a_network_that_has_left_the_set_is_not_for_us() -> None:
    session = opened()
    hear(session, SET)
    hear(session, TABLE)
    hear(
        session,
        Assignments(
            applies_to=ClusterVersion(1, 10), version=ClusterVersion(1, 11), removed_networks=("net",)
        ),
    )
    late = NetworkTableDelta("net", ClusterVersion(1, 10), ClusterVersion(1, 11))
    assert hear(session, late) == hear(session, TABLE) == []
    assert session.tables == {}


def test_tables_in_force_are_told_and_told_again_to_the_next_manager() -> None:
    session = opened()
    hear(session, SET)
    hear(session, TABLE)
    told = TablesApplied((TableVersion("net", ClusterVersion(1, 10)),))
    assert told in sent(list(session.step(TableInForce("net", ClusterVersion(1, 10)))))
    session.step(Disconnected(session.number, "cut"))
    session.step(Tick(session.dial_at_ms))
    session.step(Connected(session.number))
    assert told in sent(hear(session, STARTED))


def test_statuses_are_gathered_and_only_the_newest_of_a_task_goes_up() -> None:
    session = opened()
    session.step(StatusChanged(report("t1", TaskState.STARTING)))
    session.step(StatusChanged(report("t2")))
    session.step(StatusChanged(report("t1")))
    assert sent(list(session.step(Tick(limits.status_batch_ms - 1)))) == []
    (message,) = sent(list(session.step(Tick(limits.status_batch_ms))))
    assert message == StatusReport(1, (report("t1"), report("t2")))


def test_statuses_not_acknowledged_go_up_again_unless_there_is_newer_news() -> None:
    session = opened()
    for id in ("t1", "t2", "t3"):
        session.step(StatusChanged(report(id)))
        session.step(Tick(session.now_ms + limits.status_batch_ms))
    hear(session, StatusAcknowledged(1))
    session.step(StatusChanged(report("t3", TaskState.FAILED)))
    session.step(Disconnected(session.number, "cut"))
    session.step(Tick(session.dial_at_ms))
    session.step(Connected(session.number))
    messages = sent(hear(session, STARTED))
    messages += sent(list(session.step(Tick(session.now_ms + limits.status_batch_ms))))
    assert StatusReport(1, (report("t2"), report("t3", TaskState.FAILED))) in messages


def test_reports_under_way_are_bounded() -> None:
    session = opened()
    for n in range(3 * limits.status_reports_in_flight_max):
        session.step(StatusChanged(report(f"t{n}")))
        session.step(Tick(session.now_ms + limits.status_batch_ms))
    assert len(session.outbox.sent) == limits.status_reports_in_flight_max
    hear(session, StatusAcknowledged(limits.status_reports_in_flight_max))
    session.step(Tick(session.now_ms + limits.status_batch_ms))
    hear(session, StatusAcknowledged(session.outbox.sequence))
    assert session.outbox.empty


def test_dropped_tasks_are_not_spoken_of() -> None:
    session = opened()
    session.step(StatusChanged(report("t1")))
    session.step(TasksDropped(("t1",)))
    assert session.outbox.empty


def test_a_changed_description_is_told() -> None:
    session = opened()
    changed = NodeDescription(hostname="host2")
    assert session.step(Redescribed(changed)) == (Send(1, changed),)
    assert session.step(Redescribed(changed)) == ()


def test_what_changes_while_the_node_registers_is_told_once_it_has() -> None:
    session = new()
    session.step(Tick(0))
    session.step(Connected(1))
    changed = NodeDescription(hostname="host2")
    assert session.step(Redescribed(changed)) == ()
    assert Send(1, changed) in hear(session, SessionStarted("s1", 1000, ClusterVersion(1, 10)))
    assert session.step(Redescribed(changed)) == ()
    again = opened(new())
    assert not [each for each in hear(again, StatusAcknowledged(0)) if isinstance(each, Send)]


def test_what_stands_in_the_way_of_networks_is_told_beside_what_was_tried() -> None:
    tried = NodeNetworking(keeps_client_address=True, remarks=("no egress hook",))
    session = Session(NodeDescription(hostname="host1", networking=tried), ("m1:2377",), Random(1))
    assert session.step(Remarked(("warning (route): 10.0.0.0/8 over vpn0",))) == ()  # nobody hears it yet
    said = session.description.networking
    assert said.keeps_client_address
    assert said.remarks == ("no egress hook", "warning (route): 10.0.0.0/8 over vpn0")
    session.step(Remarked(("x" * 10_000,) * 100))
    assert len(session.description.networking.remarks) == limits.node_remarks_max
    session.step(Remarked((), ("eth0", "eth1")))
    assert session.description.networking == replace(tried, interfaces=("eth0", "eth1"))
    session.step(Remarked(()))
    assert session.description.networking == tried


def test_the_list_of_managers_is_taken_over() -> None:
    session = new()
    session.step(Tick(0))
    session.step(Connected(1))
    effects = hear(session, SessionStarted("s", 1000, ClusterVersion(1, 1), ("m1:2377", "m2:2377")))
    assert Remember(ClusterVersion(), ("m1:2377", "m2:2377")) in effects


def test_log_subscriptions_are_handed_on() -> None:
    wanted = LogSubscription("l1", ("t1",))
    assert hear(opened(), wanted) == [Subscribe(wanted)]


@pytest.mark.parametrize("period_ms", [0, -5, 1])
def test_a_mad_heartbeat_period_does_not_make_it_race(period_ms: int) -> None:
    session = new()
    session.step(Tick(0))
    session.step(Connected(1))
    hear(session, SessionStarted("s", period_ms, ClusterVersion(1, 1)))
    assert session.period_ms >= limits.heartbeat_period_ms_min
