from hypothesis import given
from hypothesis import strategies as st

from manager.ca.ratelimit import RateLimit


def limit() -> RateLimit:
    return RateLimit(host_burst=3, host_per_s=1, total_burst=5, total_per_s=10, hosts_max=4)


def test_one_address_is_held_back_and_then_let_through_again() -> None:
    asked = limit()
    assert [asked.admits("a", 0) for _ in range(4)] == [True, True, True, False]
    assert asked.admits("b", 0)
    assert not asked.admits("a", 999)
    assert asked.admits("a", 1_000)


def test_all_together_are_held_back() -> None:
    asked = limit()
    assert [asked.admits(host, 0) for host in "abcdef"] == [True] * 5 + [False]


def test_an_address_that_asks_too_much_takes_nothing_from_the_others() -> None:
    asked = limit()
    for _ in range(100):
        asked.admits("a", 0)
    assert asked.admits("b", 0)
    assert asked.admits("c", 0)


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 500))))
def test_never_more_than_the_burst_and_the_rate(script: list[tuple[str, int]]) -> None:
    asked, now_ms, admitted = limit(), 0, 0
    for host, wait_ms in script:
        now_ms += wait_ms
        admitted += asked.admits(host, now_ms)
        assert admitted <= 5 + now_ms / 100
