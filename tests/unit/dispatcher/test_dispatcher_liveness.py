"""Who is dead, and who only seemed so."""

from hypothesis import given
from hypothesis import strategies as st

from covey.machine import Tick
from manager.dispatcher.liveness import Forgotten, Heard, Liveness, MarkDown, heartbeat_period_ms


def test_a_silent_node_is_marked_down_once() -> None:
    liveness = Liveness(period_ms=10)
    liveness.step(Heard("a"))
    assert liveness.step(Tick(10)) == []
    assert liveness.step(Tick(20)) == []
    assert liveness.step(Tick(30)) == [MarkDown("a")]
    assert liveness.step(Tick(40)) == []


def test_our_own_stall_is_nobodys_silence() -> None:
    liveness = Liveness(period_ms=10)
    liveness.step(Heard("a"))
    assert liveness.step(Tick(500)) == []
    assert liveness.step(Tick(510)) == []
    assert liveness.step(Tick(520)) == [MarkDown("a")]


def test_a_forgotten_node_is_never_marked() -> None:
    liveness = Liveness(period_ms=10)
    liveness.step(Heard("a"))
    liveness.step(Forgotten("a"))
    assert [liveness.step(Tick(now)) for now in range(10, 100, 10)] == [[]] * 9


@given(st.lists(st.one_of(st.sampled_from("abc"), st.integers(0, 30)), max_size=50))
def test_no_node_is_marked_down_inside_its_grace(script: list[str | int]) -> None:
    liveness, now, last = Liveness(period_ms=10), 0, dict[str, int]()
    for item in script:
        if isinstance(item, str):
            liveness.step(Heard(item))
            last[item] = now
        else:
            now += item
            for effect in liveness.step(Tick(now)):
                assert now - last.pop(effect.node_id) >= 30


def test_many_nodes_beat_more_slowly() -> None:
    assert heartbeat_period_ms(3, 1000) == 1000
    assert heartbeat_period_ms(5000, 1000) == 10_000
