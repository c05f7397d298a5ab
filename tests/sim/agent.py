"""One node's agent: the real session machine, and a runner that does as it is told and says so."""

from random import Random
from typing import TYPE_CHECKING

from agent.session import events as talk
from agent.session import messages as words
from agent.session.machine import Session
from covey.machine import Tick
from covey.model.assignments import TaskReport
from covey.model.objects import NodeDescription, Task, TaskStatus
from covey.model.states import TaskState
from manager.dispatcher import events
from tests.sim.network import Connection

if TYPE_CHECKING:
    from tests.sim.leading import Leading
    from tests.sim.manager import Manager
    from tests.sim.world import World

_TICK_MS = 20
_LIFE = (TaskState.ACCEPTED, TaskState.PREPARING, TaskState.STARTING, TaskState.RUNNING)


class Line:
    """One stream between an agent and a manager, with what each end makes of it."""

    def __init__(self, agent: "Agent", manager: "Manager", number: int, connection: Connection) -> None:
        self.agent, self.manager, self.number = agent, manager, number
        self.connection = connection
        self.session_id = ""
        self.leading: Leading | None = None
        connection.on_break += [self._broken_at_agent, self._broken_at_manager]

    def hear(self, message: words.Up) -> None:
        """The manager's end: as `manager/dispatcher/server.py` makes events of messages."""
        if isinstance(message, words.Register):
            self._register(message)
        elif self.leading is not None:
            self.leading.hear(self._event(message))

    def _register(self, message: words.Register) -> None:
        leading, core = self.manager.leading, self.manager.core
        if leading is None:
            leader = self.agent.world.by_id(core.standing.leader) if core is not None else None
            named = leader.name if leader is not None and leader is not self.manager else ""
            self.say(words.Redirect(named, self.agent.world.addresses()))
            self.hang_up()
            return
        self.leading, self.session_id = leading, self.agent.world.new_name("session")
        leading.lines[self.session_id] = self
        description, seen = message.description, message.last_seen
        leading.hear(events.Registered(self.session_id, self.agent.name, self.agent.name, description, seen))

    def _event(self, message: words.Up) -> events.Event:
        match message:
            case words.StatusReport(sequence, reports):
                return events.StatusesReported(self.session_id, sequence, reports)
            case words.TablesApplied(tables):
                versions = tuple((each.network_id, each.version) for each in tables)
                return events.TablesInForce(self.session_id, versions)
            case NodeDescription():
                return events.NodeDescribed(self.session_id, message)
            case _:
                return events.HeartbeatReceived(self.session_id)

    def say(self, message: words.Down) -> None:
        """Send something down."""
        self.connection.send(self.manager.name, lambda: self.agent.feed(talk.Heard(self.number, message)))

    def hang_up(self) -> None:
        """End the stream, once what was said has gone out."""
        self.connection.send(self.manager.name, self.connection.end)

    def _broken_at_agent(self) -> None:
        self.agent.feed(talk.Disconnected(self.number, "the connection broke"))

    def _broken_at_manager(self) -> None:
        if self.leading is not None:
            self.leading.lines.pop(self.session_id, None)
            self.leading.hear(events.Disconnected(self.session_id))


class Agent:
    """The agent of the node `name`."""

    def __init__(self, world: "World", name: str) -> None:
        self.world, self.name = world, name
        self.dice = Random(f"{world.seed} {name}")
        description = NodeDescription(hostname=name, data_address=f"192.0.2.{name[1:]}")
        self.session = Session(description, world.addresses(), self.dice)
        self.line: Line | None = None
        self.tasks: dict[str, Task] = {}
        self.states: dict[str, TaskState] = {}
        self._tick()

    def _tick(self) -> None:
        self.feed(Tick(int(self.world.clock.now_ms)))
        self.world.clock.after(_TICK_MS, self._tick)

    def feed(self, event: talk.Event | Tick) -> None:
        """Let the session hear something, and do what it wants."""
        for effect in self.session.step(event):
            match effect:
                case talk.Dial(number, address):
                    self._dial(number, address)
                case talk.Send(number, message):
                    self._say(number, message)
                case talk.HangUp(number, _):
                    if self.line is not None and self.line.number == number:
                        self.line.connection.end()
                case talk.Assign(assignments):
                    self._assign(assignments)
                case talk.UseTable(table):
                    self.feed(talk.TableInForce(table.network_id, table.version))
                case talk.Follow():
                    self.feed(talk.Followed(ok=True))
                case _:
                    pass

    def _dial(self, number: int, address: str) -> None:
        manager, network = self.world.managers.get(address), self.world.network
        there_and_back = network.carries(self.name, address) and network.carries(address, self.name)
        if manager is None or not manager.is_member or not there_and_back:
            self.world.clock.after(20, lambda: self.feed(talk.Disconnected(number, "no answer")))
            return
        self.line = Line(self, manager, number, network.connect(self.name, address))
        self.world.lines.append(self.line)
        self.world.clock.after(2, lambda: self.feed(talk.Connected(number)))

    def _say(self, number: int, message: words.Up) -> None:
        line = self.line
        if line is not None and line.number == number:
            line.connection.send(self.name, lambda: line.hear(message))

    # --- tasks ---

    def _assign(self, assignments: words.Assignments) -> None:
        told = {task.id: task for task in assignments.changed.tasks}
        gone = set(assignments.removed_tasks)
        if assignments.full:
            gone |= self.tasks.keys() - told.keys()
        for id in gone:
            task = self.tasks.pop(id, None)
            if task is not None and self.states.get(id) == TaskState.RUNNING:
                self.world.starts.ended.add(id)
        for task in told.values():
            known = self.tasks.get(task.id)
            self.tasks[task.id] = task
            if not task.desired_state.wants_up:
                self._stop(task)
            elif known is None and task.id not in self.states:
                self._step(task.id, 0)
            elif self.states.get(task.id, TaskState.NEW) > task.status.state:
                self._report(task.id)  # it is behind what happened here

    def _step(self, id: str, place: int) -> None:
        if id not in self.tasks or self.states.get(id, TaskState.NEW) > TaskState.RUNNING:
            return
        state = _LIFE[place]
        if state is TaskState.STARTING:
            self.world.starts.started(self.name, self.tasks[id])
        self.states[id] = state
        self._report(id)
        if place + 1 < len(_LIFE):
            self.world.clock.after(self.dice.uniform(5, 60), lambda: self._step(id, place + 1))

    def _stop(self, task: Task) -> None:
        if self.states.get(task.id, TaskState.NEW) == TaskState.RUNNING:
            self.world.starts.told_to_end(task)
        if self.states.get(task.id, TaskState.NEW) <= TaskState.RUNNING:
            self.states[task.id] = TaskState.SHUTDOWN
        self._report(task.id)

    def _report(self, id: str) -> None:
        status = TaskStatus(state=self.states[id], at_ns=int(self.world.clock.now_ms * 1e6))
        self.feed(talk.StatusChanged(TaskReport(id, status)))
