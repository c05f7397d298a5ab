"""Health checks the whole way: nobody runs who is not healthy, and who is not any more is replaced."""

from pathlib import Path

import pytest

from covey.model.states import TaskState
from devcluster import namespaces
from devcluster.images import demo, layout
from devcluster.nodes import kill_process
from devcluster.place import REGISTRY
from tests.support import traces
from tests.support.prober import inside
from tests.support.stand import Stand
from tests.support.traces import Process

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

QUICK = ("--health-interval", "300ms", "--health-timeout", "2s", "--health-retries", "2")
PATIENT = ("--health-start-period", "120s", "--health-start-interval", "300ms")
ASKS = ("--health-cmd", "test -e /well || { echo not well; exit 3; }", *QUICK, *PATIENT)
HERE = ("--constraint", "node.hostname==w1", "--restart-delay", "0s")


def told(stand: Stand, why: str) -> bool:
    return any(why in task.error for task in stand.tasks("web"))


def process(stand: Stand, *, but: tuple[Process, ...] = ()) -> Process:
    """The one container on w1 that is not one of those."""
    found: list[Process] = []

    def seen() -> bool:
        found[:] = [each for each in traces.containers(stand.place, "w1").values() if each not in but]
        return bool(found)

    stand.until("a container on w1", seen)
    (only,) = found
    return only


def test_a_task_runs_once_it_is_healthy_and_is_replaced_once_it_is_not(stand: Stand) -> None:
    stand.covey("service", "create", "--detach", "--name", "web", *ASKS, *HERE, stand.tools)
    first = process(stand)
    why = "its health check fails: exit code 3: not well"
    stand.until("the failing check to be told", lambda: told(stand, why))
    assert stand.running("web") == []
    inside(first, "touch", "/well")
    stand.until("the healthy task to run", lambda: len(stand.running("web")) == 1)

    kill_process(stand.place, "w1", "agent")
    inside(first, "touch", "/still")
    stand.until("the agent to be back", lambda: stand.covey("node", "ls"))
    assert first.lives
    inside(first, "rm", "/well")
    second = process(stand, but=(first,))
    stand.until("the unhealthy container's end", lambda: not first.lives)
    inside(second, "touch", "/well")
    stand.until("the second one to run", lambda: len(stand.running("web")) == 1)
    assert told(stand, "unhealthy: exit code 3: not well")


def test_a_check_that_hangs_leaves_nothing_in_the_container(stand: Stand) -> None:
    hangs = "[ -e /well ] || { trap '' TERM HUP; setsid sleep 1000 & sleep 1000; }"
    options = ("--health-cmd", hangs, *QUICK, "--health-timeout", "500ms", "--health-retries", "99")
    stand.covey("service", "create", "--detach", "--name", "web", *options, *HERE, stand.tools)
    it = process(stand)
    stand.until("the timeout to be told", lambda: told(stand, "took longer than 0.5 s"))
    inside(it, "touch", "/well")
    stand.until("the task to run", lambda: len(stand.running("web")) == 1)
    stand.until("what it began to be gone", lambda: "sleep 1000" not in inside(it, "ps"))


def test_a_check_under_way_ends_with_its_agent_and_the_next_one_asks_on(stand: Stand) -> None:
    hangs_once = "if [ -e /hang ]; then rm /hang; (setsid sleep 1001 &); sleep 1000; fi; echo x >> /asked"
    options = ("--health-cmd", hangs_once, *QUICK, "--health-timeout", "1h", "--health-retries", "1")
    stand.covey("service", "create", "--detach", "--name", "web", *options, *HERE, stand.tools)
    it = process(stand)
    stand.until("the healthy task to run", lambda: len(stand.running("web")) == 1)
    (task,) = stand.running("web")
    inside(it, "touch", "/hang")
    stand.until("a check to hang", lambda: "sleep 1000" in inside(it, "ps"))
    asked = len(inside(it, "cat", "/asked").split())
    kill_process(stand.place, "w1", "agent")
    stand.until("the hanging check to be gone", lambda: "sleep 100" not in inside(it, "ps"))
    stand.until("the next agent to ask on", lambda: len(inside(it, "cat", "/asked").split()) > asked + 1)
    assert it.lives
    assert [each.id for each in stand.tasks("web")] == [task.id]
    assert [each.id for each in stand.running("web")] == [task.id]


@pytest.fixture(scope="module")
def checked(session_stand: Stand, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with a HEALTHCHECK of its own, in the cluster's registry."""
    plain = demo.tools()
    health = {"Test": ["CMD", "test", "-e", "/well"], "Interval": 300_000_000, "Retries": 99}
    folder: Path = tmp_path_factory.mktemp("images")
    layout.write(
        layout.Image(plain.layers, {**plain.config, "Healthcheck": health}), folder / "demo-checked-1", "1"
    )
    enter = namespaces.command(session_stand.place.netns(REGISTRY), [])
    demo.push("demo/checked:1", folder, session_stand.place.registry, enter)
    return f"{session_stand.place.registry}/demo/checked:1"


def test_the_images_own_check_counts_unless_it_is_left_out(stand: Stand, checked: str) -> None:
    stand.covey("service", "create", "--detach", "--name", "web", *HERE, checked)
    it = process(stand)
    stand.until("it to start", lambda: stand.tasks("web")[0].state is TaskState.STARTING)
    inside(it, "touch", "/well")
    stand.until("the healthy task to run", lambda: len(stand.running("web")) == 1)
    stand.covey("service", "update", "--no-healthcheck", "web")
    second = process(stand, but=(it,))
    stand.until("the second one to run", lambda: len(stand.running("web")) == 1)
    assert "No such file" in inside(second, "ls", "/well")
