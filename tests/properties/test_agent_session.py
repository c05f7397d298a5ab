"""Whatever breaks, every task's newest status is acknowledged in the end, and never an older one after it."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.session.events import Connected, Dial, Disconnected, HangUp, Heard, Send, StatusChanged
from agent.session.machine import Session
from agent.session.messages import (
    Alive,
    Heartbeat,
    Register,
    SessionStarted,
    StatusAcknowledged,
    StatusReport,
)
from covey.machine import Tick
from covey.model.assignments import TaskReport
from covey.model.objects import ClusterVersion, NodeDescription, TaskStatus

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("status"), st.sampled_from(["t1", "t2", "t3"])),
        st.tuples(st.just("tick"), st.integers(0, 3000)),
        st.tuples(st.just("answer"), st.integers(1, 3)),
        st.tuples(st.just("cut")),
    ),
    max_size=80,
)


class Manager:
    """Commits what it hears, in order; a cut loses what it has not heard."""

    def __init__(self, seed: int) -> None:
        self.session = Session(NodeDescription(), ("m1", "m2"), Random(seed))
        self.now_ms = 0
        self.wire: list[object] = []
        self.committed: dict[str, int] = {}
        self.newest: dict[str, int] = {}
        self.count = 0

    def feed(self, event: object) -> None:
        for effect in self.session.step(event):  # type: ignore[arg-type]
            match effect:
                case Dial(number, _):
                    self.wire = []
                    self.feed(Connected(number))
                case Send(number, message):
                    assert number == self.session.number
                    self.wire.append(message)
                case HangUp():
                    self.wire = []
                case _:
                    pass

    def answer(self) -> None:
        """Hear the next message and answer it."""
        number = self.session.number
        if not self.wire:
            return
        match self.wire.pop(0):
            case Register():
                self.feed(Heard(number, SessionStarted("s", 1000, ClusterVersion(1, 1))))
            case StatusReport(sequence, reports):
                for report in reports:
                    assert report.status.at_ns >= self.committed.get(report.task_id, 0)
                    self.committed[report.task_id] = report.status.at_ns
                self.feed(Heard(number, StatusAcknowledged(sequence)))
            case Heartbeat():
                self.feed(Heard(number, Alive()))
            case _:
                pass

    def play(self, step: tuple) -> None:  # type: ignore[type-arg]
        match step:
            case "status", id:
                self.count += 1
                self.newest[id] = self.count
                self.feed(StatusChanged(TaskReport(id, TaskStatus(at_ns=self.count))))
            case "tick", ms:
                self.now_ms += ms
                self.feed(Tick(self.now_ms))
            case "answer", times:
                for _ in range(times):
                    self.answer()
            case _:
                self.feed(Disconnected(self.session.number, "cut"))
                self.wire = []


@settings(max_examples=300, deadline=None)
@given(STEPS, st.integers(0, 1000))
def test_every_status_is_acknowledged_in_the_end(steps: list[tuple], seed: int) -> None:  # type: ignore[type-arg]
    manager = Manager(seed)
    for step in steps:
        manager.play(step)
    for _ in range(40):
        manager.play(("tick", 1000))
        manager.play(("answer", 20))
    assert manager.session.outbox.empty
    assert manager.committed == manager.newest


@given(STEPS, st.integers(0, 1000))
def test_it_never_needs_to_be_woken_in_the_past_for_ever(steps: list[tuple], seed: int) -> None:  # type: ignore[type-arg]
    manager = Manager(seed)
    for step in steps:
        manager.play(step)
        manager.feed(Tick(manager.now_ms))
        wake_ms = manager.session.wake_ms
        assert wake_ms is None or wake_ms > manager.now_ms
