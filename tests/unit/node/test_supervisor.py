from hypothesis import given
from hypothesis import strategies as st

from covey import limits
from covey.machine.machine import Tick
from node.supervisor import Effect, Ended, Kill, Renew, Start, Started, State, Stop, Supervisor, Want

BOTH = frozenset({"agent", "dns"})


def running() -> Supervisor:
    supervisor = Supervisor()
    assert supervisor.step(Want(BOTH)) == [Start("agent"), Start("dns")]
    supervisor.step(Started("agent", 10))
    supervisor.step(Started("dns", 20))
    return supervisor


def test_what_is_wanted_is_started_once() -> None:
    supervisor = running()
    assert supervisor.step(Want(BOTH)) == []
    assert not supervisor.all_absent()


def test_one_that_ends_is_started_again_after_a_delay_that_doubles() -> None:
    supervisor, now, pid = running(), 0, 10
    delays = []
    for pid in range(10, 20):
        assert supervisor.step(Ended("agent", pid, "ended with code 1")) == []
        due = supervisor.next_due_ms()
        assert due is not None
        assert supervisor.step(Tick(due - 1)) == []
        assert supervisor.step(Tick(due)) == [Start("agent")]
        delays.append(due - now)
        now = due
        supervisor.step(Started("agent", pid + 1))
    assert delays[:4] == [100, 200, 400, 800]
    assert delays[-1] == limits.child_backoff_ms_max
    child = supervisor.children["agent"]
    assert (child.restarts, child.last_error) == (10, "ended with code 1")


def test_one_that_ran_for_a_while_is_started_without_the_long_delay() -> None:
    supervisor = running()
    supervisor.children["agent"].delay_ms = 8_000
    supervisor.step(Tick(limits.child_stable_ms))
    supervisor.step(Ended("agent", 10, "was ended by SIGKILL"))
    assert supervisor.next_due_ms() == limits.child_stable_ms + limits.child_backoff_ms_min


def test_one_that_cannot_be_started_is_tried_again() -> None:
    supervisor = Supervisor()
    supervisor.step(Want(frozenset({"agent"})))
    supervisor.step(Ended("agent", 0, "cannot be started: Not a directory"))
    assert supervisor.step(Tick(100)) == [Start("agent")]


def test_what_is_not_wanted_is_stopped_and_killed_if_it_does_not_end() -> None:
    supervisor = running()
    assert supervisor.step(Want(frozenset({"dns"}))) == [Stop("agent", 10)]
    assert supervisor.step(Tick(limits.child_stop_ms)) == [Kill("agent", 10)]
    assert supervisor.step(Ended("agent", 10, "was ended by SIGKILL")) == []
    assert supervisor.children["agent"].state is State.ABSENT
    assert supervisor.next_due_ms() is None


def test_wanted_again_while_it_stops_it_starts_when_it_has_ended() -> None:
    supervisor = running()
    supervisor.step(Want(frozenset()))
    assert supervisor.step(Want(frozenset({"agent"}))) == []
    assert supervisor.step(Ended("agent", 10, "ended with code 0")) == [Start("agent")]
    assert supervisor.step(Ended("dns", 20, "ended with code 0")) == []


def test_unwanted_before_it_runs_it_is_stopped_once_it_does() -> None:
    supervisor = Supervisor()
    supervisor.step(Want(frozenset({"agent"})))
    assert supervisor.step(Want(frozenset())) == []
    assert supervisor.step(Started("agent", 10)) == [Stop("agent", 10)]


def test_unwanted_while_it_waits_it_is_not_started() -> None:
    supervisor = running()
    supervisor.step(Ended("agent", 10, "ended with code 1"))
    supervisor.step(Want(frozenset({"dns"})))
    assert supervisor.step(Tick(100_000)) == []


def test_renewed_each_ends_and_begins_at_once_and_that_is_no_restart() -> None:
    supervisor = running()
    assert supervisor.step(Renew()) == [Stop("agent", 10), Stop("dns", 20)]
    assert supervisor.step(Ended("agent", 10, "ended with code 0")) == [Start("agent")]
    assert supervisor.children["agent"].restarts == 0


class World:
    """Processes as the kernel sees them: what was started runs until it is killed or ends."""

    def __init__(self) -> None:
        self.supervisor = Supervisor()
        self.alive: dict[str, int] = {}
        self.starting: list[str] = []
        self.next_pid = 1

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Start(name):
                    assert name not in self.alive, f"two of {name}"
                    assert name not in self.starting, f"two of {name}"
                    self.starting.append(name)
                case Stop(name, pid) | Kill(name, pid):
                    assert self.alive.get(name) == pid, "a signal to what does not run"
                    if isinstance(effect, Kill):
                        self.end(name)

    def start_one(self) -> None:
        if self.starting:
            name = self.starting.pop(0)
            self.alive[name] = self.next_pid
            self.next_pid += 1
            self.perform(list(self.supervisor.step(Started(name, self.alive[name]))))

    def end(self, name: str) -> None:
        if pid := self.alive.pop(name, 0):
            self.perform(list(self.supervisor.step(Ended(name, pid, "ended with code 1"))))


STEPS = st.one_of(
    st.frozensets(st.sampled_from("abc")).map(Want),
    st.just(Renew()),
    st.just("start"),
    st.sampled_from([("end", name) for name in "abc"]),
    st.integers(0, 20_000),
)


@given(st.lists(STEPS, max_size=60), st.frozensets(st.sampled_from("abc")))
def test_never_two_of_a_kind_and_in_the_end_what_is_wanted(script: list, wanted: frozenset[str]) -> None:
    world, now = World(), 0
    for step in script:
        match step:
            case "start":
                world.start_one()
            case ("end", name):
                world.end(name)
            case int():
                now += step
                world.perform(list(world.supervisor.step(Tick(now))))
            case _:
                world.perform(list(world.supervisor.step(step)))
    world.perform(list(world.supervisor.step(Want(wanted))))
    for _ in range(20):
        now += limits.child_backoff_ms_max
        world.perform(list(world.supervisor.step(Tick(now))))
        while world.starting:
            world.start_one()
    assert set(world.alive) == wanted
