"""The agent's machines as one: what one of them wants of another is an event there. Pure but for `do`.

The driver and the simulation share this, so that what is simulated is wired as what runs.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence

import agent.session.events as talk
import agent.tasks.events as work
from agent.session.machine import Session
from agent.tasks import tables
from agent.tasks.machine import Tasks
from agent.tasks.tables import TableQueue, Wish, Wished
from covey.machine import Tick

Event = talk.Event | work.Event | tables.Event
Effect = talk.Effect | work.Effect | tables.Effect
Do = Callable[[Effect], Sequence[Event]]
"""Do one effect's part outside the machines; returns what they must hear of it at once."""


class Machines:
    """`session`, `tasks` and the queue of tables. `do` is called with every effect, in their order."""

    def __init__(self, session: Session, tasks: Tasks, do: Do) -> None:
        self.session = session
        self.tasks = tasks
        self.tables = TableQueue()
        self._do = do

    @property
    def wake_ms(self) -> int | None:
        """The next time that one of them wants to be told."""
        wakes = (self.session.wake_ms, self.tasks.wake_ms, self.tables.wake_ms)
        return min((wake for wake in wakes if wake is not None), default=None)

    def tell_time(self, now_ms: int, clock_ns: int) -> None:
        """Say what time it is, also on the wall: to be done before anything else in a turn."""
        now = Tick(now_ms)
        self.perform(self.tasks.step(work.WallClock(clock_ns)))
        self.perform([*self.tasks.step(now), *self.tables.step(now), *self.session.step(now)])

    def hear(self, event: Event) -> None:
        """Let the one that an event is for hear it, and perform what comes of it."""
        self.perform(self._step(event))

    def perform(self, effects: Iterable[Effect]) -> None:
        """Perform effects in order, and those of the events that come of them."""
        waiting = deque(effects)
        while waiting:
            effect = waiting.popleft()
            for event in (*self._do(effect), *_crossing(effect)):
                waiting.extend(self._step(event))

    def _step(self, event: Event) -> Sequence[Effect]:
        if isinstance(event, talk.Event):
            return self.session.step(event)
        if isinstance(event, work.Event):
            return self.tasks.step(event)
        return self.tables.step(event)


def _crossing(effect: Effect) -> Sequence[Event]:
    """What another machine must hear of an effect at once."""
    match effect:
        case talk.Assign(assignments):
            return [work.Assigned(assignments)]
        case talk.UseTable(table):
            return [Wished(table.network_id, Wish(table=table))]
        case talk.TellWithdrawn(task_ids):
            return [work.Withdrawn(task_ids)]
        case work.Learn(network):
            return [Wished(network.id, Wish(network=network))]
        case work.Unlearn(network_id):
            return [Wished(network_id, Wish(gone=True))]
        case work.Report(report):
            return [talk.StatusChanged(report)]
        case work.Unreport(task_ids):
            return [talk.TasksDropped(task_ids)]
        case tables.InForce(network_id, _):
            return [work.TableSettled(network_id)]
        case _:
            return ()
