"""One node's agent: its real machines, wired as `agent/driver.py` wires them, and a simulated host."""

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from agent.health.checks import Probe
from agent.machines import Effect, Event, Machines
from agent.session import events as talk
from agent.session import messages as words
from agent.session.machine import Session
from agent.tasks import events as work
from agent.tasks import tables
from agent.tasks.assigned import KINDS
from agent.tasks.files import NodeFacts
from agent.tasks.io.actions import _ACTS
from agent.tasks.io.db import Remembered
from agent.tasks.machine import Tasks
from agent.tasks.tables import Wish
from covey.model.assignments import AssignmentSet
from covey.model.objects import NodeDescription
from covey.model.specs import Platform, Resources
from covey.model.tables import NetworkTable
from manager.dispatcher import events
from tests.sim.host import Host
from tests.sim.network import Connection

if TYPE_CHECKING:
    from tests.sim.leading import Leading
    from tests.sim.manager import Manager
    from tests.sim.world import World

_TICK_MS = 20
_TABLE_MS = (1.0, 40.0)  # until kernel and DNS server follow a table


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
        held = tuple((each.network_id, each.version) for each in message.tables)
        name = self.agent.name
        leading.hear(events.Registered(self.session_id, name, name, description, seen, held))

    def _event(self, message: words.Up) -> events.Event:
        match message:
            case words.StatusReport(sequence, reports):
                return events.StatusesReported(self.session_id, sequence, reports)
            case words.TablesApplied(applied):
                versions = tuple((each.network_id, each.version) for each in applied)
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
    """The agent of the node `name`. Its process may end and begin anew; the host and the disk stay."""

    def __init__(self, world: "World", name: str) -> None:
        self.world, self.name = world, name
        self.dice = Random(f"{world.seed} {name}")
        self.host = Host(world, name)
        self.disk: dict[tuple[str, str], object] = {}
        self.description = NodeDescription(
            hostname=name,
            platform=Platform("linux", "amd64"),
            resources=Resources(nano_cpus=8_000_000_000, memory_bytes=8 << 30),
            data_address=f"192.0.2.{name[1:]}",
        )
        self.line: Line | None = None
        self.in_force: dict[str, NetworkTable] = {}  # what the kernel follows, with an agent or without
        self.lives = 0
        self.numbers = 0
        self.on = False
        self.heard_ms: dict[str, float] = {}  # when it was first told that a task is to stop
        self.withdrawn: set[str] = set()  # tasks of which it was told that nobody sends them anything new
        self.boot()

    # --- beginning and ending ---

    def boot(self) -> None:
        """Take over what the disk and the host have."""
        self.world.tell(f"      {self.name}: its agent begins")
        self.on = True
        self.lives += 1
        held = {id: value for (kind, id), value in self.disk.items() if kind == "table"}
        remembered = self.disk.get(("session", ""), Remembered(managers=self.world.addresses()))
        assert isinstance(remembered, Remembered)
        self.session = Session(
            self.description,
            remembered.managers,
            self.dice,
            remembered.last_seen,
            held,  # type: ignore[arg-type]
        )
        self.session.number = self.numbers
        self.tasks = Tasks(NodeFacts(self.name, self.name))
        self.machines = Machines(self.session, self.tasks, self._do)
        self._tell_time()
        self._take_over(held)  # type: ignore[arg-type]
        self._tick(self.lives)

    def _take_over(self, held: dict[str, NetworkTable]) -> None:
        kinds = {name: [v for (k, _), v in sorted(self.disk.items()) if k == name] for name in KINDS}
        stored = AssignmentSet(**{f"{name}s": tuple(values) for name, values in kinds.items()})  # type: ignore[arg-type]
        locals = {id: value for (kind, id), value in self.disk.items() if kind == "local"}
        self.machines.perform(self.tasks.step(work.Restored(stored, locals, self.host.observed())))  # type: ignore[arg-type]
        self.in_force = dict(held)
        self.machines.perform(tables.InForce(each.network_id, each.version) for each in held.values())

    def crash(self, *, silently: bool = False) -> None:
        """End the process; containers go on."""
        self.world.tell(f"      {self.name}: its agent ends")
        self.on = False
        self.lives += 1
        self.numbers = self.session.number
        self.host.abandoned()
        if self.line is not None:
            self.line.connection.end(self.name, silently=silently)
            self.line = None

    def power_off(self) -> None:
        """End everything on the host."""
        self.world.tell(f"      {self.name}: loses its power")
        self.crash(silently=True)
        self.host.power_off()
        self.in_force.clear()

    def _tick(self, life: int) -> None:
        if life != self.lives:
            return
        wake_ms = self.machines.wake_ms
        if wake_ms is not None and wake_ms <= self.world.clock.now_ms:
            self._tell_time()
        self.world.clock.after(_TICK_MS, lambda: self._tick(life))

    def _tell_time(self) -> None:
        now_ms = self.world.clock.now_ms
        self.machines.tell_time(int(now_ms), int(now_ms * 1e6))

    # --- events to the machines, their effects to the world ---

    def feed(self, event: Event) -> None:
        """Let the machines hear something, and do what they want."""
        if self.on:
            self._tell_time()
            self.machines.hear(event)

    def _do(self, effect: Effect) -> Sequence[Event]:
        """Do one effect's part outside the machines; give what they must hear of it at once."""
        match effect:
            case talk.Dial(number, address):
                self._dial(number, address)
            case talk.Send(number, message):
                self._say(number, message)
            case talk.HangUp(number, _):
                if self.line is not None and self.line.number == number:
                    self.line.connection.end(self.name)
            case talk.Remember(last_seen, managers):
                self.disk["session", ""] = Remembered(last_seen, managers)
            case talk.Assign(assignments):
                for task in assignments.changed.tasks:
                    if not task.desired_state.wants_up:
                        self.heard_ms.setdefault(task.id, self.world.clock.now_ms)
            case talk.UseTable(table):
                self.disk["table", table.network_id] = table
            case talk.DropTable(network_id):
                self.disk.pop(("table", network_id), None)
                self.in_force.pop(network_id, None)
            case talk.TellWithdrawn(task_ids):
                self.withdrawn.update(task_ids)
            case talk.Follow():
                return [talk.Followed(ok=True)]
            case tables.InForce(network_id, version):
                return [talk.TableInForce(network_id, version)]
            case _:
                self._work(effect)
        return ()

    def _work(self, effect: Effect) -> None:
        match effect:
            case work.Save(kind, id, None):
                self.disk.pop((kind, id), None)
            case work.Save(kind, id, value):
                self.disk[kind, id] = value
            case tables.Apply(network_id, wish):
                self._apply(network_id, wish)
            case work.Watch(task_id):
                self.host.watch(task_id, self._hearing())
            case work.Cancel(task_id):
                self.host.give_up(task_id, self._hearing())
            case Probe():
                self.host.probe(effect, self._hearing())
            case work.Sweep(ids):
                self.host.sweep(ids)
            case _ if isinstance(effect, work.Action):
                act = effect.act if isinstance(effect, work.Signal) else _ACTS[type(effect)]
                self.host.perform(effect, act, self._hearing())
            case _:
                pass

    def _hearing(self) -> Callable[[Event], None]:
        """Who hears what comes of an action: this process, or nobody."""
        life = self.lives
        return lambda event: self.feed(event) if life == self.lives else None

    def _apply(self, network_id: str, wish: Wish) -> None:
        life = self.lives

        def applied() -> None:
            if life == self.lives:
                if wish.table is not None:
                    self.in_force[network_id] = wish.table
                self.feed(tables.Applied(network_id))

        self.world.clock.after(self.dice.uniform(*_TABLE_MS), applied)

    # --- streams ---

    def _dial(self, number: int, address: str) -> None:
        manager, network = self.world.managers.get(address), self.world.network
        hear = self._hearing()
        there_and_back = network.carries(self.name, address) and network.carries(address, self.name)
        if manager is None or not manager.is_member or not there_and_back:
            self.world.clock.after(20, lambda: hear(talk.Disconnected(number, "no answer")))
            return
        self.line = Line(self, manager, number, network.connect(self.name, address))
        self.world.lines.append(self.line)
        self.world.clock.after(2, lambda: hear(talk.Connected(number)))

    def _say(self, number: int, message: words.Up) -> None:
        line = self.line
        if line is not None and line.number == number:
            line.connection.send(self.name, lambda: line.hear(message))
