"""Bugs in who runs what, where and when, and that the simulation finds each: every checker has one that it finds.

Like those of `test_planted_bugs.py`, each is put where it would be in the product.
"""

from collections.abc import Callable, Iterator, Sequence

import pytest
from msgspec.structs import replace

from agent.tasks.draining import Leaving
from agent.tasks.lifecycle import Leave
from agent.tasks.machine import Tasks
from agent.tasks.record import Record
from covey.model.jobs import extent
from covey.model.objects import Revision, Service
from covey.model.specs import ServiceMode, UpdateConfig
from covey.model.states import EndpointState, TaskState, UpdateOrder
from manager.dispatcher.sessions import Sessions
from manager.orchestrator import drained, jobs, lost, places, revisions, rollout, start
from manager.orchestrator.orchestrator import Orchestrator
from manager.scheduler.filters import NotTooMany
from manager.scheduler.fleet import Claim, Fleet
from tests.sim.__main__ import attempt

SEEDS = 60

Plant = Callable[[pytest.MonkeyPatch], None]


def start_beside_the_old(patch: pytest.MonkeyPatch) -> None:
    """A task is started though the one before it has not ended."""
    patch.setattr(start, "stops_yet", lambda scene, task: False)


def crowd_nodes(patch: pytest.MonkeyPatch) -> None:
    """The scheduler forgets how many tasks of a service a node may have."""
    patch.setattr(NotTooMany, "set", lambda self, group: False)


def roll_out_to_all_at_once(patch: pytest.MonkeyPatch) -> None:
    """The parallelism is not heeded."""
    rules = rollout.config_of
    patch.setattr(rollout, "config_of", lambda scene: replace(rules(scene), parallelism=0))


def stop_first_always(patch: pytest.MonkeyPatch) -> None:
    """The order is not heeded."""

    def rules(scene: places.Scene) -> UpdateConfig:
        return replace(known(scene), order=UpdateOrder.STOP_FIRST)

    known = rollout.config_of
    patch.setattr(rollout, "config_of", rules)


def drain_at_once(patch: pytest.MonkeyPatch) -> None:
    """A drained node's tasks stop before others can take over."""
    patch.setattr(drained, "ready", lambda scene, follower: True)


def drain_without_end(patch: pytest.MonkeyPatch) -> None:
    """A drained node's tasks wait for others without end, and nobody sends any."""
    patch.setattr(drained, "stays", lambda scene, task: True)
    patch.setattr(drained, "move", lambda scene: False)


def run_jobs_again(patch: pytest.MonkeyPatch) -> None:
    """A place of a job that has completed is not known to have."""
    patch.setattr(jobs, "done", lambda scene, place: False)


def leave_jobs_short(patch: pytest.MonkeyPatch) -> None:
    """A job ends one completion before its end."""

    def short(mode: ServiceMode) -> tuple[int, int]:
        total, at_once = extent(mode)
        return max(total - 1, 1), at_once

    patch.setattr("manager.orchestrator.jobs.extent", short)


def run_jobs_all_at_once(patch: pytest.MonkeyPatch) -> None:
    """How many tasks of a job may run at a time is not heeded."""
    patch.setattr("manager.orchestrator.jobs.extent", lambda mode: (extent(mode)[0],) * 2)


def start_what_was_stopped(patch: pytest.MonkeyPatch) -> None:
    """The end of a rollout is written with what is known of the service from before people stopped it."""
    adopt = revisions.adopt

    def forgetful(service: Service, current: Revision | None, revision: Revision) -> Service:
        return replace(adopt(service, current, revision), stopped=False)

    for module in ("manager.orchestrator.revisions.adopt", "manager.control.services.changes.adopt"):
        patch.setattr(module, forgetful)


def keep_what_stops_active(patch: pytest.MonkeyPatch) -> None:
    """Names and virtual addresses lead to a task until it has ended."""
    patch.setattr("manager.allocator.endpoints.state_for", lambda task: EndpointState.ACTIVE)


def withdraw_at_once(patch: pytest.MonkeyPatch) -> None:
    """Agents are not asked whether they still send something to a task."""
    patch.setattr(Sessions, "_lags", lambda self, epoch, node_id, key: False)


def signal_at_once(patch: pytest.MonkeyPatch) -> None:
    """An agent does not wait until nobody sends anything to a task that is to stop."""
    patch.setattr(Leaving, "stage", lambda self, now_ms: Leave.DONE)


def forget_lost_nodes(patch: pytest.MonkeyPatch) -> None:
    """Nothing is looked at when a node goes or comes."""
    patch.setattr(Orchestrator, "_observe_node", lambda self, id, before, after: None)


def reserve_for_the_gone(patch: pytest.MonkeyPatch) -> None:
    """What tasks took of a node stays taken when they are gone."""
    observe = Fleet.observe_claim

    def hoarding(self: Fleet, task_id: str, claim: Claim | None) -> None:
        if claim is not None:
            observe(self, task_id, claim)

    patch.setattr(Fleet, "observe_claim", hoarding)


def make_room_for_the_lost(patch: pytest.MonkeyPatch) -> None:
    """Tasks that come back with their node take the places of those that were made instead."""
    leave = lost.leave_lost_nodes

    def give_back(scene: places.Scene) -> None:
        leave(scene)
        for place in scene.places.values():
            back = [t for t in place.tasks if not t.desired_state.wants_up and not scene.turn.left(t.node_id)]
            if any(t.status.state is TaskState.RUNNING for t in back):
                running = [t for t in place.live if t.status.state is TaskState.RUNNING]
                scene.desire(place, running, TaskState.SHUTDOWN)

    patch.setattr("manager.orchestrator.orchestrator.leave_lost_nodes", give_back)


def keep_needless_followers(patch: pytest.MonkeyPatch) -> None:
    """Who was to follow a task on a drained node stays when that node is used again."""
    patch.setattr(rollout, "_leave_one", lambda scene, place, tasks: None)


def call_failures_completions(patch: pytest.MonkeyPatch) -> None:
    """An agent does not look at how a container ended."""
    become = Tasks._become

    def optimistic(self: Tasks, record: Record, state: TaskState) -> None:
        become(self, record, TaskState.COMPLETE if state is TaskState.FAILED else state)

    patch.setattr(Tasks, "_become", optimistic)


def never_be_done(patch: pytest.MonkeyPatch) -> None:
    """A rollout does not notice that it is through."""
    patch.setattr(rollout, "_finish", lambda scene, memory, places: None)


PLANTS: list[tuple[Plant, str, str]] = [
    (start_beside_the_old, "rollout", "still runs on"),
    (crowd_nodes, "drain", "and at most"),
    (roll_out_to_all_at_once, "rollout", "down at once"),
    (stop_first_always, "rollout", "starts first"),
    (drain_at_once, "drain", "nothing is ready in its place"),
    (drain_without_end, "drain", "is drained and still runs"),
    (run_jobs_again, "jobs", "has completed"),
    (leave_jobs_short, "jobs", "has completed"),
    (run_jobs_all_at_once, "jobs", "at once, and at most"),
    (start_what_was_stopped, "rollout", "wanted stopped"),
    (keep_what_stops_active, "rollout", "stays active"),
    (withdraw_at_once, "rollout", "still sends to"),
    (signal_at_once, "rollout", "nobody had withdrawn it"),
    (forget_lost_nodes, "drain", "after the last fault"),
    (never_be_done, "rollout", "is still at it"),
    (reserve_for_the_gone, "rollout", "has room"),
    (make_room_for_the_lost, "rollout", "nobody asked for that"),
    (keep_needless_followers, "drain", "more than one task in a place"),
    (call_failures_completions, "jobs", "is said to have completed"),
]


def found(profile: str) -> Iterator[str]:
    """How seeds fail, one after the other."""
    for seed in range(1, SEEDS + 1):
        if failure := attempt(seed, profile):
            yield failure


@pytest.mark.parametrize(("plant", "profile", "words"), PLANTS, ids=[plant.__name__ for plant, *_ in PLANTS])
def test_a_bug_of_orchestration_is_found(
    plant: Plant, profile: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    failures: Sequence[str] = []
    for failure in found(profile):
        failures = [*failures, failure]
        if words in failure:
            print(f"{plant.__name__}: {failure}")
            return
    raise AssertionError(f"{SEEDS} seeds do not find {plant.__name__}: {failures[:3]}")
