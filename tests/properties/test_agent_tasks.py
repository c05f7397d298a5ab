"""Whatever happens in whatever order, no state falls, nothing starts twice, and everything ends well."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.runtime.seam import ContainerState
from agent.tasks.events import Assigned, Drain, Pull, Signal, Withdrawn
from covey import limits
from covey.model.objects import Task
from covey.model.specs import HealthCheck
from covey.model.states import HealthState, TaskState
from tests.support.agent_world import FATAL, NOT_BEGUN, PASSING, World, full, revision, task

CHECK = HealthCheck(test=("CMD", "ask"), interval_ns=1_000_000_000, start_period_ns=2_000_000_000, retries=2)
REVISIONS = {
    "t1": revision("plain"),
    "t2": revision("drains", drain_ns=5_000_000_000),
    "t3": revision("checked", health=CHECK),
    "t4": revision("both", drain_ns=5_000_000_000, health=CHECK),
}
IDS = tuple(REVISIONS)
DESIRED = (TaskState.READY, TaskState.RUNNING, TaskState.SHUTDOWN, TaskState.REMOVE)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("assign"), st.sampled_from(IDS), st.sampled_from(DESIRED)),
        st.tuples(st.just("up"), st.sampled_from(IDS)),
        st.tuples(st.just("drop"), st.sampled_from(IDS)),
        st.tuples(st.just("finish"), st.sampled_from(IDS)),
        st.tuples(
            st.just("fail"), st.sampled_from(IDS), st.sampled_from([PASSING, FATAL, NOT_BEGUN]), st.booleans()
        ),
        st.tuples(st.just("exit"), st.sampled_from(IDS), st.sampled_from([0, 1, None]), st.booleans()),
        st.tuples(st.just("tick"), st.sampled_from([1, 500, 1000, 10_000])),
        st.tuples(st.just("withdraw"), st.sampled_from(IDS)),
        st.tuples(st.just("answer"), st.sampled_from(IDS), st.sampled_from([0, 0, 1, None, "trouble"])),
        st.tuples(st.just("settle")),
        st.tuples(st.just("restart")),
        st.tuples(st.just("kill"), st.booleans()),
        st.tuples(st.just("reboot")),
    ),
    max_size=80,
)


class Story:
    """A manager that only ever raises desired states, and a world that obeys or does not."""

    def __init__(self) -> None:
        self.world = World()
        self.desired: dict[str, TaskState] = {}
        self.dropped: set[str] = set()
        self.seen: dict[str, TaskState] = {}
        self.told_ms: dict[str, int] = {}  # when this agent heard, or found, that a task is to end
        self.withdrawn: set[str] = set()
        self.waited: set[str] = set()  # whose connections have been waited for

    def play(self, step: tuple) -> None:  # type: ignore[type-arg]
        world = self.world
        match step:
            case "assign", id, desired if id not in self.dropped:
                self.desired[id] = max(desired, self.desired.get(id, TaskState.NEW))
                self.assign()
                if desired >= TaskState.SHUTDOWN:
                    self.told_ms.setdefault(id, world.now_ms)
            case "up", id if (
                id not in self.dropped and self.desired.get(id, TaskState.NEW) <= TaskState.RUNNING
            ):
                self.desired[id] = TaskState.RUNNING
                self.assign()
                world.settle()
                world.run(id)
                world.tick(5_000)
                if id in world.probes:
                    world.answer(id)
            case "drop", id if id in self.desired:
                del self.desired[id]
                self.dropped.add(id)
                self.seen.pop(id, None)
                self.assign()
                self.told_ms.setdefault(id, world.now_ms)
            case "finish", id if id in world.pending:
                self.wait(id)
                world.finish(id)
            case "withdraw", id:
                self.withdrawn.add(id)
                world.step(Withdrawn((id,)))
            case "answer", id, answer if id in world.probes:
                if answer == "trouble":
                    world.answer(id, trouble="disk full")
                else:
                    world.answer(id, answer, "words")
            case "fail", id, failure, done if id in world.pending:
                self.wait(id)
                may_be_done = done and failure is PASSING and not isinstance(world.pending[id], Pull)
                world.finish(id, failure, done=may_be_done)
            case "exit", id, code, told if world.boxes.get(id) is ContainerState.RUNNING:
                world.end(id, code, told=told)
            case "tick", ms:
                world.tick(ms)
            case ("settle",):
                world.settle()
            case ("restart",) if not world.pending:
                self.world = world.restart()
                self.begin_anew()
            case "kill", done:
                for action in world.pending.values() if done else ():
                    world.carry_out(action)
                self.world = world.restart()
                self.begin_anew()
            case ("reboot",) if not world.pending:
                self.world = world.reboot()
                self.begin_anew()
            case _:
                pass
        self.check()

    def wait(self, id: str) -> None:
        if isinstance(self.world.pending[id], Drain):
            self.waited.add(id)

    def begin_anew(self) -> None:
        """What an agent knows of leave-taking ends with it. Of tasks dropped before, so do the networks."""
        self.withdrawn.clear()
        self.waited = set(self.dropped)
        self.told_ms = dict.fromkeys(self.told_ms, self.world.now_ms)
        self.told_ms |= dict.fromkeys(self.dropped, -limits.withdrawal_wait_ms)

    def assign(self) -> None:
        tasks = [self._task(id) for id in sorted(self.desired)]
        self.world.step(Assigned(full(*tasks, revisions=[REVISIONS[task.id] for task in tasks])))

    def _task(self, id: str) -> Task:
        state = max(TaskState.ASSIGNED, self.seen.get(id, TaskState.ASSIGNED))
        return replace(task(id, self.desired[id], state), revision_id=REVISIONS[id].id)

    def check(self) -> None:
        for report in self.world.reports:
            before = self.seen.get(report.task_id, TaskState.NEW)
            if report.task_id in self.desired:
                assert report.status.state >= before, f"{report.task_id} fell from {before!r}"
                self.seen[report.task_id] = report.status.state
        self.world.reports.clear()
        assert len(set(self.world.starts)) == len(self.world.starts)
        for record in self.world.machine.records.values():
            checked = REVISIONS[record.task.id].spec.task.container.health is not None
            if checked and record.task.id in self.desired and record.status.state is TaskState.RUNNING:
                assert record.health in (HealthState.HEALTHY, HealthState.UNHEALTHY), "it was asked before"
        for id, action in self.world.pending.items():
            if isinstance(action, Signal):
                self.check_signal(id)
        assert sum(not isinstance(a, Pull) for a in self.world.pending.values()) <= (
            limits.task_network_actions_at_once + limits.task_runtime_actions_at_once + len(IDS)
        )

    def check_signal(self, id: str) -> None:
        """Whoever was in use and is asked to end has taken leave, or the time for that is over."""
        record, drains = self.world.machine.records[id], REVISIONS[id].spec.endpoint.drain_ns > 0
        if not drains or record.status.state is not TaskState.RUNNING:
            return
        if record.health is HealthState.UNHEALTHY:
            return
        assert id in self.withdrawn or self.world.now_ms >= self.told_ms[id] + limits.withdrawal_wait_ms
        assert id in self.waited

    def run(self) -> None:
        """Carry out everything that is wanted, until nothing is."""
        while self.world.pending:
            self.play(("finish", next(iter(self.world.pending))))
            for id in sorted(self.world.watched & self.world.exits.keys()):
                self.world.tell_exit(id)

    def finish(self) -> None:
        """From here on everything works, and all tasks are told to end."""
        for _ in range(2):
            for id in sorted(self.desired):
                self.desired[id] = TaskState.SHUTDOWN
            self.assign()
            self.told_ms = {id: self.told_ms.get(id, self.world.now_ms) for id in IDS}
            for _ in range(5):
                self.run()
                self.world.tick(60_000)
                self.check()
            for id in list(self.world.watched & self.world.exits.keys()):
                self.world.tell_exit(id)
        for id in sorted(self.desired):
            assert self.world.state(id).terminal, f"{id} never ended: {self.world.machine.records[id]}"
            assert self.seen[id].terminal, f"the managers never heard how {id} ended"
        assert self.world.attached == set()
        assert ContainerState.RUNNING not in self.world.boxes.values()
        self.desired.clear()
        self.assign()
        self.world.run()
        assert self.world.machine.records == {}
        assert self.world.boxes == {}
        for id in list(self.world.probes):
            self.world.answer(id, trouble="the container has ended")
        assert self.world.machine.checks.monitors == {}
        assert self.world.machine.checks.under_way == set()
        assert {kind for kind, _ in self.world.disk} <= {"revision", "network"}


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_any_story_ends_well(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    story = Story()
    for step in steps:
        story.play(step)
    story.finish()
