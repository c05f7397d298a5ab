"""Whatever happens in whatever order, no state falls, nothing starts twice, and everything ends well."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.runtime.seam import ContainerState
from agent.tasks.events import Assigned, Pull
from covey import limits
from covey.model.objects import Task
from covey.model.states import TaskState
from tests.support.agent_world import FATAL, NOT_BEGUN, PASSING, World, full, task

IDS = ("t1", "t2", "t3")
DESIRED = (TaskState.READY, TaskState.RUNNING, TaskState.SHUTDOWN, TaskState.REMOVE)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("assign"), st.sampled_from(IDS), st.sampled_from(DESIRED)),
        st.tuples(st.just("drop"), st.sampled_from(IDS)),
        st.tuples(st.just("finish"), st.sampled_from(IDS)),
        st.tuples(
            st.just("fail"), st.sampled_from(IDS), st.sampled_from([PASSING, FATAL, NOT_BEGUN]), st.booleans()
        ),
        st.tuples(st.just("exit"), st.sampled_from(IDS), st.sampled_from([0, 1, None]), st.booleans()),
        st.tuples(st.just("tick"), st.sampled_from([1, 500, 1000, 10_000])),
        st.tuples(st.just("settle")),
        st.tuples(st.just("restart")),
        st.tuples(st.just("reboot")),
    ),
    max_size=60,
)


class Story:
    """A manager that only ever raises desired states, and a world that obeys or does not."""

    def __init__(self) -> None:
        self.world = World()
        self.desired: dict[str, TaskState] = {}
        self.dropped: set[str] = set()
        self.seen: dict[str, TaskState] = {}

    def play(self, step: tuple) -> None:  # type: ignore[type-arg]
        world = self.world
        match step:
            case "assign", id, desired if id not in self.dropped:
                self.desired[id] = max(desired, self.desired.get(id, TaskState.NEW))
                self.assign()
            case "drop", id if id in self.desired:
                del self.desired[id]
                self.dropped.add(id)
                self.seen.pop(id, None)
                self.assign()
            case "finish", id if id in world.pending:
                world.finish(id)
            case "fail", id, failure, done if id in world.pending:
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
            case ("reboot",) if not world.pending:
                self.world = world.reboot()
            case _:
                pass
        self.check()

    def assign(self) -> None:
        self.world.step(Assigned(full(*[self._task(id) for id in sorted(self.desired)])))

    def _task(self, id: str) -> Task:
        return task(id, self.desired[id], max(TaskState.ASSIGNED, self.seen.get(id, TaskState.ASSIGNED)))

    def check(self) -> None:
        for report in self.world.reports:
            before = self.seen.get(report.task_id, TaskState.NEW)
            if report.task_id in self.desired:
                assert report.status.state >= before, f"{report.task_id} fell from {before!r}"
                self.seen[report.task_id] = report.status.state
        self.world.reports.clear()
        assert len(set(self.world.starts)) == len(self.world.starts)
        assert sum(not isinstance(a, Pull) for a in self.world.pending.values()) <= (
            limits.task_network_actions_at_once + limits.task_runtime_actions_at_once + len(IDS)
        )

    def finish(self) -> None:
        """From here on everything works, and all tasks are told to end."""
        for _ in range(2):
            for id in sorted(self.desired):
                self.desired[id] = TaskState.SHUTDOWN
            self.assign()
            for _ in range(4):
                self.world.run()
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
        assert {kind for kind, _ in self.world.disk} <= {"revision", "network"}


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_any_story_ends_well(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    story = Story()
    for step in steps:
        story.play(step)
    story.finish()
