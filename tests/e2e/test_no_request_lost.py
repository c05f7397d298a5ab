"""Whatever is done to a service, who asks it gets an answer; and without draining the same askers miss some."""

import os
import time

import pytest

from tests.support.load import Load
from tests.support.load_scene import Scene
from tests.support.stand import Stand

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

PAUSE_MS = 40  # of each asker between two requests: the cluster shares two processors with them
CHANCES = 3
REPLICAS = 10 if os.environ.get("COVEY_E2E_LONG") == "1" else 6


def test_no_request_is_lost_whatever_is_done_to_a_service(stand: Stand) -> None:
    scene = Scene(stand, REPLICAS)
    scene.begin()
    load = _everything(scene)
    if load.failures() and scene.too_busy():
        # That is said, and no part of the promise: see `docs/explanation/updates-and-drains.md`.
        print("a node was too busy to say in time that it sends nothing any more; once more")
        load = _everything(scene)
    lost = load.failures()
    assert not lost, f"{len(lost)} requests were lost: {lost[:10]}\n{load.table()}"
    asked = {phase.name: phase for phase in load.phases()}
    for name in scene.changes:
        assert asked[name].requests > 300, f"hardly anybody asked during {name}: {asked[name]}"
        assert asked[name].connections > 100, f"hardly anybody connected during {name}: {asked[name]}"
        assert asked[name].tasks > 1, f"only one task answered during {name}: {asked[name]}"

    _without_draining(scene)


def _everything(scene: Scene) -> Load:
    """Do all there is to do, under load."""
    with scene.load(PAUSE_MS) as load:
        time.sleep(1)
        for name, change in scene.changes.items():
            with load.phase(name):
                change()
        time.sleep(1)
    print(f"\n{load.table()}")
    return load


def _without_draining(scene: Scene) -> None:
    """The same askers lose requests where tasks stop without taking leave, or they would prove nothing."""
    tasks = {task.id for task in scene.stand.running("web")}
    scene.covey("service", "update", "--drain-time", "0s", "web")
    assert {task.id for task in scene.stand.running("web")} == tasks, (
        "a change of the drain time stops no task"
    )
    for chance in range(1, CHANCES + 1):
        with scene.load(PAUSE_MS) as load, load.phase(f"restart without draining, {chance}"):
            scene.covey("service", "restart", "web")
        print(f"\n{load.table()}")
        if load.failures():
            return
    pytest.fail(f"nothing was lost in {CHANCES} restarts without draining: these askers would not notice")
