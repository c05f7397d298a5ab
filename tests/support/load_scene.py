"""A service under load on a dev cluster, and everything that is done to services under load."""

import time
from collections.abc import Callable, Set
from functools import partial
from pathlib import Path

from covey.errors import FailedPrecondition, Unavailable
from devcluster.look import TaskLine
from devcluster.place import OUTSIDE, address_of
from tests.support import load_image
from tests.support.load import Load
from tests.support.load_generator import Settings
from tests.support.stand import Stand

PORT = 8088
DRAINED = "w2"  # so nobody asks from a container there: it would have to go
_BOUND_S = 240.0
_HEALTH = (
    "--health-cmd", "wget -q -O /dev/null http://127.0.0.1/", "--health-interval", "2s",
    "--health-start-period", "20s", "--health-start-interval", "200ms",
)  # fmt: skip


class Scene:
    """The service `web` (`load/web`), published and on a network, and `client` on every node."""

    def __init__(self, stand: Stand, replicas: int = 10) -> None:
        self.stand = stand
        self.replicas = replicas
        self.image = load_image.push(stand.place)

    def begin(self, *options: str) -> None:
        """Create the services, `web` with some more options; wait until all answer on every node's port."""
        covey = self.covey
        covey("network", "create", "net1")
        covey(
            "service", "create", "--name", "web", "--replicas", str(self.replicas), "--network", "net1",
            "--publish", f"{PORT}:80", *_HEALTH, "--update-parallelism", "2", "--update-monitor", "1s",
            "--rollback-monitor", "1s", "--rollback-parallelism", "2", *options, f"{self.image}:1",
        )  # fmt: skip
        covey(
            "service", "create", "--name", "client", "--mode", "global", "--network", "net1", self.stand.tools
        )
        self.answer()

    def too_busy(self) -> bool:
        """Whether a node has stopped a task though another had not said in time that it sends it nothing any more."""
        nodes = self.stand.asked.nodes
        return any(
            "stops though some node may still" in self.stand.place.log(node).read_text() for node in nodes
        )

    def answer(self) -> None:
        """Wait until every node's port does."""
        for node in self.stand.asked.nodes:
            self.stand.until(f"the port of {node}", partial(self.stand.answers, node, PORT))

    def roll(self, order: str, meanwhile: Callable[[], object]) -> None:
        """Replace all tasks, have something happen when some have been, and wait for the last of the old ones."""
        old = {task.id for task in self.stand.running("web")}
        fresh = ("--env-add", f"AT={time.monotonic_ns()}", "--update-order", order)
        self.covey("service", "update", "--detach", *fresh, "web")
        self.stand.until("the first of the new tasks", lambda: self.news(old))
        meanwhile()
        self.stand.until(
            "all tasks to be new ones, and no others",
            lambda: len(self.news(old)) == self.replicas and self.standing() == self.news(old),
            _BOUND_S,
        )

    def news(self, old: Set[str]) -> set[str]:
        """The running tasks that are not among the old ones; none while no manager says."""
        return {id for id in self.ids(lambda task: task.runs) if id not in old}

    def covey(self, *arguments: str) -> str:
        return self.stand.covey(*arguments, bound_s=_BOUND_S)

    def load(self, pause_ms: int, connections: int = 50) -> Load:
        """Half from outside, by the port of every node; half from containers, by the name and its tasks' names."""
        asked = [node for node in self.stand.asked.nodes if node != DRAINED]
        ports = [f"{address_of(node)}:{PORT}" for node in self.stand.asked.nodes]
        half, each = connections // 2, connections // 2 // len(asked)
        outside = Settings(ports, connections - each * len(asked), pause_ms=pause_ms)
        assert outside.connections >= half
        inside = Settings(["web:80", "tasks.web:80"], each, pause_ms=pause_ms)
        clients = {f"a container on {node}": (self.client(node), inside) for node in asked}
        return Load({"outside": (self.stand.place.netns(OUTSIDE), outside), **clients})

    def client(self, node: str) -> Path:
        """The network namespace of the client on a node."""
        (task,) = [each for each in self.stand.running("client") if each.node == node]
        return self.stand.place.run(node) / "netns" / task.id

    # --- what is done ---

    @property
    def changes(self) -> dict[str, Callable[[], object]]:
        """Everything that stops tasks and starts others, by name; each waits until all is as it is to be."""
        update = partial(self.covey, "service", "update")
        stop_first = ("--update-order", "stop-first", "--update-parallelism", "2")
        some = self.replicas // 2
        start_first = ("--update-order", "start-first", "--update-parallelism", str(some))
        return {
            "update, stop first": partial(update, *stop_first, "--image", f"{self.image}:2", "web"),
            "rollback": partial(self.covey, "service", "rollback", "web"),
            "update, start first, half at a time": partial(
                update, *start_first, "--env-add", f"AT={time.monotonic_ns()}", "web"
            ),
            "scale to half": partial(self.covey, "service", "scale", f"web={some}"),
            "scale to all": partial(self.covey, "service", "scale", f"web={self.replicas}"),
            "drain of a node": self.drain,
            "restart": partial(self.covey, "service", "restart", "web"),
        }

    def drain(self) -> None:
        """Take a node's tasks from it and wait until others have taken over; then let it have tasks again."""
        stand = self.stand
        if not stand.spread("web")[DRAINED]:
            self.covey("service", "restart", "web")
        assert stand.spread("web")[DRAINED], f"{DRAINED} has tasks to be drained"
        self.covey("node", "update", "--availability", "drain", DRAINED)
        stand.until(
            "other nodes to take over",
            lambda: len(stand.running("web")) == self.replicas and not self.standing(DRAINED),
            _BOUND_S,
        )
        self.covey("node", "update", "--availability", "active", DRAINED)

    def standing(self, node: str = "") -> set[str]:
        """The tasks that have not ended, on a node or on all."""
        return self.ids(lambda task: (not node or task.node == node) and not task.state.terminal)

    def ids(self, such: Callable[[TaskLine], bool]) -> set[str]:
        """The tasks of `web` that are such; none while no manager says."""
        try:
            return {task.id for task in self.stand.tasks("web") if such(task)}
        except (Unavailable, FailedPrecondition):
            return set()
