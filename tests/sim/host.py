"""One node's host: images, and containers that live as their images make them, on virtual time.

What an image is like is said by its name: `good:3` runs until it is stopped, `crash:1` ends soon after it has started.
What really runs is told to `world.runs`, whatever agents and managers think.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from agent.health.checks import Probe, Probed
from agent.images.seam import ImageConfig, ImageHealthcheck, LocalImage
from agent.runtime.seam import ContainerState, ExecResult, Exit, Observed
from agent.tasks import events as work
from agent.tasks.events import Failure, Trouble
from agent.tasks.lifecycle import Act

if TYPE_CHECKING:
    from tests.sim.world import World

_KILL = 9
_HAND_MS = (2.0, 30.0)  # what an action takes that is none of the slow ones


@dataclass(frozen=True)
class Character:
    """What an image is like. Times are drawn between two bounds; odds are those of one container."""

    pull_ms: tuple[float, float] = (20.0, 600.0)
    absent: bool = False  # the registry has no such image
    flaky: float = 0.0  # how often a pull fails, and may be tried again
    fails: float = 0.0
    fails_ms: tuple[float, float] = (20.0, 900.0)  # after its start
    works_ms: tuple[float, float] | None = None  # it ends by itself after that, well unless it fails
    stubborn: float = 0.0  # it does not listen when it is asked to end
    stops_ms: tuple[float, float] = (2.0, 300.0)
    checked: bool = False  # it has a health check
    well_ms: tuple[float, float] = (0.0, 700.0)  # after its start it is well
    sickens: float = 0.0
    sickens_ms: tuple[float, float] = (1_000.0, 6_000.0)  # then it is well no more


CHARACTERS = {
    "good": Character(),
    "far": Character(pull_ms=(1_000.0, 5_000.0), flaky=0.3),
    "crash": Character(fails=1.0),
    "wobbly": Character(fails=0.3, fails_ms=(100.0, 8_000.0)),
    "absent": Character(absent=True),
    "checked": Character(checked=True),
    "sick": Character(checked=True, well_ms=(1e9, 1e9)),
    "weary": Character(checked=True, sickens=0.3),
    "deaf": Character(stubborn=0.5, stops_ms=(200.0, 1_500.0)),
    "work": Character(works_ms=(100.0, 3_000.0)),
    "stumble": Character(works_ms=(100.0, 2_000.0), fails=0.3),
}


def character_of(image: str) -> Character:
    """What an image is like."""
    return CHARACTERS[image.rpartition("/")[2].partition(":")[0]]


@dataclass
class Box:
    """One container."""

    id: str
    image: str
    state: ContainerState = ContainerState.CREATED
    exit: Exit | None = None
    deaf: bool = False
    well_from_ms: float = 0.0
    well_until_ms: float = 1e12


def _config(like: Character) -> ImageConfig:
    check = ImageHealthcheck(
        test=("CMD", "check"),
        interval_ns=300_000_000,
        start_period_ns=1_000_000_000,
        start_interval_ns=100_000_000,
        retries=2,
    )
    return ImageConfig(cmd=("run",), healthcheck=check if like.checked else None)


class Host:
    """Carries out what the agent wants, as `agent/tasks/io/actions.py` does. Containers outlive agents."""

    def __init__(self, world: "World", name: str) -> None:
        self.world, self.name = world, name
        self.dice = Random(f"{world.seed} host {name}")
        self.boxes: dict[str, Box] = {}
        self.pulled: set[str] = set()
        self.given_up: set[str] = set()  # tasks whose pull was cancelled
        self.under_way: dict[str, work.Action] = {}
        self.lives = 0

    def observed(self) -> tuple[Observed, ...]:
        """What a new agent finds."""
        return tuple(Observed(b.id, b.state, 100, b.exit) for _, b in sorted(self.boxes.items()))

    def power_off(self) -> None:
        """End everything at once; nobody saw how."""
        self.lives += 1
        for box in self.boxes.values():
            if box.state is ContainerState.RUNNING:
                self.world.runs.ended(self.name, box.id, None)
            if box.state is not ContainerState.EXITED:
                box.state, box.exit = ContainerState.EXITED, Exit(None, reason="the host restarted")

    def _after(self, bounds: tuple[float, float], act: Callable[[], None]) -> None:
        """Do something later, unless the power is lost before."""
        life = self.lives
        self.world.clock.after(self.dice.uniform(*bounds), lambda: act() if life == self.lives else None)

    # --- what the agent wants ---

    def perform(self, action: work.Action, act: object, tell: Callable[[work.Event], None]) -> None:
        """Carry an action out in its time, and answer once."""

        def done(result: work.Result = None, failure: Failure | None = None) -> None:
            tell(work.Finished(action.task_id, act, result, failure))  # type: ignore[arg-type]

        if isinstance(action, work.Pull):
            self._pull(action, done)
            return

        self.under_way[action.task_id] = action

        def carry_out() -> None:
            if self.under_way.get(action.task_id) is action:
                del self.under_way[action.task_id]
                done(self._do(action))

        self._after(self._time_of(action), carry_out)

    def _time_of(self, action: work.Action) -> tuple[float, float]:
        if isinstance(action, work.Drain):
            busy_ms = min(action.linger_ms, self.dice.choice((0.0, 0.0, 400.0, 5_000.0)))
            return busy_ms, busy_ms + _HAND_MS[1]
        return _HAND_MS

    def probe(self, probe: Probe, tell: Callable[[work.Event], None]) -> None:
        """Run a check in a container."""

        def answer() -> None:
            box, now_ms = self.boxes.get(probe.task_id), self.world.clock.now_ms
            if box is None or box.state is not ContainerState.RUNNING:
                tell(Probed(probe.task_id, None, "there is no such container"))
                return
            well = box.well_from_ms <= now_ms < box.well_until_ms
            tell(Probed(probe.task_id, ExecResult(0 if well else 1, "" if well else "not well")))

        self._after(_HAND_MS, answer)

    def abandoned(self) -> None:
        """Hear that the agent's process has ended: what was under way is done, or never will be."""
        under_way, self.under_way = self.under_way, {}
        for action in under_way.values():
            if self.dice.random() < 0.5:
                self._do(action)

    def _pull(self, action: work.Pull, done: Callable[..., None]) -> None:
        like = character_of(action.reference)
        self.given_up.discard(action.task_id)
        bounds = _HAND_MS if action.reference in self.pulled else like.pull_ms

        def arrive() -> None:
            if action.task_id in self.given_up:
                return
            if like.absent:
                done(failure=Failure(Trouble.FATAL, f"no such image: {action.reference}"))
            elif action.reference not in self.pulled and self.dice.random() < like.flaky:
                done(failure=Failure(Trouble.PASSING, "the registry does not answer"))
            else:
                self.pulled.add(action.reference)
                done(LocalImage(action.reference, (action.reference,), _config(like)))

        self._after(bounds, arrive)

    def give_up(self, task_id: str, tell: Callable[[work.Event], None]) -> None:
        """End a pull, or the waiting for connections, that nobody wants any more."""
        act = Act.DRAIN if isinstance(self.under_way.pop(task_id, None), work.Drain) else Act.PULL
        self.given_up.add(task_id)
        failure = Failure(Trouble.PASSING, f"to {act} was given up")
        self._after((0.1, 1.0), lambda: tell(work.Finished(task_id, act, None, failure)))

    def _do(self, action: work.Action) -> work.Result:
        id = action.task_id
        match action:
            case work.Attach():
                return f"/netns/{id}"
            case work.Create(_, container):
                self._discard(id)
                self.boxes[id] = Box(id, container.layers[0])
                return 100
            case work.Start():
                self._start(self.boxes[id])
            case work.Signal(_, _, number):
                self._signal(id, number)
            case work.Discard():
                self._discard(id)
            case _:
                pass
        return None

    def watch(self, task_id: str, tell: Callable[[work.Event], None]) -> None:
        """Tell once, when the container has ended."""

        def look() -> None:
            box = self.boxes.get(task_id)
            if box is None:
                return
            if box.exit is not None:
                tell(work.Exited(task_id, box.exit))
            else:
                self._after((1.0, 10.0), look)

        self._after((0.0, 1.0), look)

    # --- containers ---

    def _start(self, box: Box) -> None:
        assert box.state is ContainerState.CREATED, f"{box.id} is started and is {box.state}"
        box.state = ContainerState.RUNNING
        self.world.runs.started(self.name, box.id)
        like = character_of(box.image)
        box.deaf = self.dice.random() < like.stubborn
        now_ms = self.world.clock.now_ms
        box.well_from_ms = now_ms + self.dice.uniform(*like.well_ms)
        if self.dice.random() < like.sickens:
            box.well_until_ms = now_ms + self.dice.uniform(*like.sickens_ms)
        if self.dice.random() < like.fails:
            self._after(like.fails_ms, lambda: self._end(box, 1))
        elif like.works_ms is not None:
            self._after(like.works_ms, lambda: self._end(box, 0))

    def _signal(self, id: str, number: int) -> None:
        box = self.boxes.get(id)
        if box is None or box.state is not ContainerState.RUNNING:
            self.world.runs.asked_too_late(id)
            return
        if number == _KILL:
            self._end(box, 137)
            return
        self.world.runs.asked_to_end(self.name, id)
        if not box.deaf:
            self._after(character_of(box.image).stops_ms, lambda: self._end(box, 143))

    def _end(self, box: Box, code: int) -> None:
        if box.state is ContainerState.RUNNING and self.boxes.get(box.id) is box:
            box.state, box.exit = ContainerState.EXITED, Exit(code)
            self.world.runs.ended(self.name, box.id, code)

    def _discard(self, id: str) -> None:
        box = self.boxes.pop(id, None)
        if box is not None and box.state is ContainerState.RUNNING:
            self.world.runs.ended(self.name, id, 137)

    def sweep(self, ids: tuple[str, ...]) -> None:
        """Remove what belongs to no task."""
        for id in ids:
            self._after(_HAND_MS, lambda id=id: self._discard(id))  # type: ignore[misc]
