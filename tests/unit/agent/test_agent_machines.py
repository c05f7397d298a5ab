"""The agent's machines wired to each other: what crosses from one to another, in which order, and when they wake."""

from collections.abc import Sequence
from random import Random

import agent.session.events as talk
import agent.tasks.events as work
from agent.machines import Effect, Event, Machines
from agent.session.machine import Session
from agent.tasks import tables
from agent.tasks.files import NodeFacts
from agent.tasks.machine import Tasks
from agent.tasks.tables import Wish
from covey.model.objects import ClusterVersion, NodeDescription
from covey.model.tables import NetworkTable

TABLE = NetworkTable("net", ClusterVersion(1, 1))


class Scene:
    """The machines, and every effect in the order in which it was performed."""

    def __init__(self) -> None:
        self.done: list[Effect] = []
        session = Session(NodeDescription(hostname="n1"), ("192.0.2.1:2377",), Random(1))
        self.machines = Machines(session, Tasks(NodeFacts("n1", "n1")), self.do)
        self.machines.tell_time(0, 0)

    def do(self, effect: Effect) -> Sequence[Event]:
        self.done.append(effect)
        return ()


def test_a_table_that_the_session_has_goes_to_the_queue_of_tables() -> None:
    scene = Scene()
    scene.machines.perform([talk.UseTable(TABLE)])
    assert scene.done[-2:] == [talk.UseTable(TABLE), tables.Apply("net", Wish(table=TABLE))]


def test_what_comes_of_an_effect_is_done_after_the_effects_before_it() -> None:
    scene = Scene()
    scene.done.clear()
    scene.machines.perform([talk.UseTable(TABLE), talk.DropTable("other")])
    assert scene.done == [
        talk.UseTable(TABLE),
        talk.DropTable("other"),
        tables.Apply("net", Wish(table=TABLE)),
    ]


def test_a_network_is_unlearned_by_its_queue() -> None:
    scene = Scene()
    scene.machines.perform([work.Unlearn("net")])
    assert scene.done[-1] == tables.Apply("net", Wish(gone=True))


def test_they_wake_when_the_first_of_them_wants_to() -> None:
    scene = Scene()
    wakes = (scene.machines.session.wake_ms, scene.machines.tasks.wake_ms, scene.machines.tables.wake_ms)
    assert scene.machines.wake_ms == min(wake for wake in wakes if wake is not None)
