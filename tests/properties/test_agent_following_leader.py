"""Whatever managers do, an agent finds the leader soon after all is well again, and asks nobody without a pause."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.session.events import Connected, Dial, Disconnected, HangUp, Heard, Send
from agent.session.machine import Phase, Session
from agent.session.messages import Alive, Heartbeat, Redirect, Register, SessionStarted
from covey import limits
from covey.machine import Tick
from covey.model.objects import ClusterVersion, NodeDescription

ALL = ("m1", "m2", "m3")
STEP_MS = 10
# Between two pauses, the leader and as many redirects as are followed.
DIALS_PER_S_MAX = (limits.redirects_in_a_row_max + 1) * 1000 // limits.leaderless_pause_ms_min

# For each stretch of time: who leads, whom each manager takes for the leader, and who is dead or silent.
STRETCH = st.fixed_dictionaries(
    {
        "leader": st.sampled_from(["", *ALL]),
        "believed": st.tuples(*[st.sampled_from(["", *ALL]) for _ in ALL]),
        "dead": st.sets(st.sampled_from(ALL), max_size=2),
        "silent": st.sets(st.sampled_from(ALL), max_size=2),
        "for_ms": st.integers(1, 400).map(lambda n: n * STEP_MS),
    }
)


class World:
    """Managers that answer as they are told, and one agent."""

    def __init__(self, seed: int) -> None:
        self.session = Session(NodeDescription(), ALL, Random(seed))
        self.now_ms = 0
        self.at = ""
        self.dialled_ms: list[int] = []
        self.leader, self.dead, self.silent = "", set[str](), set[str]()
        self.believed = dict.fromkeys(ALL, "")

    def feed(self, event: object) -> None:
        for effect in self.session.step(event):  # type: ignore[arg-type]
            match effect:
                case Dial(number, address):
                    self.at = address
                    self.dialled_ms.append(self.now_ms)
                    if address in self.dead:
                        self.feed(Disconnected(number, "refused"))
                    else:
                        self.feed(Connected(number))
                case Send(number, message) if self.at not in self.silent | self.dead:
                    self.answer(number, message)
                case HangUp():
                    self.at = ""
                case _:
                    pass

    def answer(self, number: int, message: object) -> None:
        match message:
            case Register() if self.at == self.leader:
                self.feed(Heard(number, SessionStarted("s", 1000, ClusterVersion(1, 1), ALL)))
            case Register():
                self.feed(Heard(number, Redirect(self.believed[self.at], ALL)))
            case Heartbeat():
                self.feed(Heard(number, Alive()))
            case _:
                pass

    def change(self, leader: str, believed: tuple[str, ...], dead: set[str], silent: set[str]) -> None:
        self.leader, self.dead, self.silent = leader if leader not in dead else "", dead, silent
        self.believed = dict(zip(ALL, believed, strict=True))
        if self.at in self.dead:
            self.feed(Disconnected(self.session.number, "it died"))
        elif self.session.phase is Phase.OPEN and self.at != self.leader and self.at not in self.silent:
            self.feed(Heard(self.session.number, Redirect(self.leader, ALL)))

    def pass_time(self, for_ms: int) -> None:
        for _ in range(0, for_ms, STEP_MS):
            self.now_ms += STEP_MS
            self.feed(Tick(self.now_ms))


@settings(max_examples=60, deadline=None)
@given(st.lists(STRETCH, max_size=8), st.sampled_from(ALL), st.integers(0, 10))
def test_the_leader_is_found(stretches: list[dict], leader: str, seed: int) -> None:  # type: ignore[type-arg]
    world = World(seed)
    for stretch in stretches:
        for_ms = stretch.pop("for_ms")
        world.change(**stretch)
        world.pass_time(for_ms)
    world.change(leader, (leader,) * 3, set(), set())
    world.pass_time(15_000)
    assert world.session.phase is Phase.OPEN
    assert world.at == leader
    for first, later in zip(world.dialled_ms, world.dialled_ms[DIALS_PER_S_MAX:], strict=False):
        assert later - first > 1000, "managers are not flooded"
