"""Who sent what had to be dropped is named, for a while, and not anew for each packet."""

from agent.dns.dropped import Dropped
from covey import limits

MALFORMED = {"malformed question": 999}
HOUR_MS = int(limits.dropped_named_s * 1000)


def test_nothing_is_said_of_nothing() -> None:
    told = Dropped()
    told.note({}, 0)
    assert not list(told.remarks(0))


def test_the_worst_are_named_with_their_reasons() -> None:
    told = Dropped()
    tally = {"a": MALFORMED, "b": {"a response": 7, "too many connections": 70, "malformed question": 1}}
    told.note(tally | {name: {"a response": 1} for name in "cdef"}, 0)
    (remark,) = told.remarks(0)
    assert "a (500 or more: malformed question)" in remark
    assert "b (50 or more: too many connections, 5 or more: a response)" in remark
    assert "3 others" in remark
    assert len(remark) <= limits.node_remark_chars_max


def test_it_is_said_for_a_while_after_the_last() -> None:
    told = Dropped()
    told.note({"a": MALFORMED}, 1000)
    told.note({"a": MALFORMED}, 2000)
    assert list(told.remarks(HOUR_MS + 999))
    assert not list(told.remarks(HOUR_MS + 1000))
    told.note({"a": {"malformed question": 1000}}, HOUR_MS + 2000)
    assert "1,000 or more" in next(told.remarks(HOUR_MS + 3000))
    told.note({}, HOUR_MS + 4000)
    assert not list(told.remarks(HOUR_MS + 5000)), "the container is gone"


def test_few_more_are_nothing_new() -> None:
    told = Dropped()
    told.note({"a": MALFORMED}, 0)
    before = list(told.remarks(0))
    told.note({"a": {"malformed question": 998}}, 10)
    assert list(told.remarks(10)) == before
