"""What a running member keeps account of: proposals, stalls, what waits to be sent, and who may talk to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covey import errors, limits
from manager.raft import messages
from manager.raft.entry import Entry, Member
from manager.raft.introductions import FORMAT, Acquaintances, Introduction
from manager.raft.loop.proposals import Fate, Proposals
from manager.raft.loop.stalls import Stalls
from manager.raft.messages import Append, Heartbeat
from manager.raft.sending import Sending
from manager.raft.session import Session

# --- proposals ---


def entries(first: int, *terms: int) -> list[Entry]:
    return [Entry(first + n, term) for n, term in enumerate(terms)]


def test_what_is_committed_in_its_term_is_kept() -> None:
    table: Proposals[str] = Proposals()
    table.add(2, range(5, 7), "a")
    table.add(2, range(7, 8), "b")
    assert list(table.committed(entries(5, 2))) == []
    assert list(table.committed(entries(6, 2, 2))) == [("a", Fate.KEPT), ("b", Fate.KEPT)]
    assert not len(table)


def test_what_another_leader_overwrote_is_dropped() -> None:
    table: Proposals[str] = Proposals()
    table.add(2, range(5, 7), "a")
    assert list(table.committed(entries(5, 3, 3))) == [("a", Fate.DROPPED)]


def test_of_what_is_there_in_part_nobody_can_say_that_it_is_not() -> None:
    table: Proposals[str] = Proposals()
    table.add(2, range(5, 8), "a")
    table.add(2, range(8, 11), "b")
    assert list(table.committed(entries(5, 2, 3, 3))) == [("a", Fate.TORN)]
    assert list(table.committed(entries(8, 3))) == []
    assert list(table.committed(entries(9, 3, 3))) == [("b", Fate.TORN)]


def test_a_snapshot_tells_nothing() -> None:
    table: Proposals[str] = Proposals()
    table.add(2, range(5, 6), "a")
    assert list(table.skipped()) == [("a", Fate.UNKNOWN)]
    assert not len(table)


def test_doubt_ends() -> None:
    table: Proposals[str] = Proposals()
    table.add(2, range(5, 6), "a")
    assert list(table.expired(10**9)) == []
    table.limit(100)
    table.limit(200)
    assert list(table.expired(99)) == []
    assert list(table.expired(100)) == [("a", Fate.UNKNOWN)]
    table.add(3, range(6, 7), "b")
    table.limit(300)
    table.unlimit()
    assert list(table.expired(10**9)) == []


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), max_size=20), st.data())
def test_every_proposal_is_decided_once(batches: list[tuple[int, int]], data: st.DataObject) -> None:
    """A log is committed in pieces of any size: each proposal hears its fate when its last entry goes by."""
    table: Proposals[int] = Proposals()
    place, own_term = 1, 1
    ends: dict[int, tuple[int, int]] = {}
    for number, (term_step, size) in enumerate(batches):
        own_term += term_step - 1
        table.add(own_term, range(place, place + size), number)
        place += size
        ends[number] = (place - 1, own_term)
    log = entries(
        1, *sorted(data.draw(st.lists(st.integers(1, own_term + 1), min_size=place - 1, max_size=place - 1)))
    )
    heard: dict[int, Fate] = {}
    at = 0
    while at < len(log):
        step = data.draw(st.integers(1, 6))
        for number, fate in table.committed(log[at : at + step]):
            assert number not in heard
            assert ends[number][0] <= log[min(at + step, len(log)) - 1].index
            heard[number] = fate
        at += step
    for number, (end, term) in ends.items():
        assert (heard[number] is Fate.KEPT) == (log[end - 1].term == term)


# --- stalls ---


def test_stalls_are_counted_from_a_bound_on() -> None:
    stalls = Stalls()
    assert not stalls.note(limits.raft_stall_log_ms - 1)
    assert stalls.note(limits.raft_stall_log_ms)
    assert (stalls.count, stalls.worst_ms) == (1, limits.raft_stall_log_ms)
    for _ in range(60_000 // limits.raft_tick_ms):
        stalls.note(3)
    assert (stalls.worst_ms, stalls.recent_worst_ms) == (limits.raft_stall_log_ms, 3)


# --- what waits to be sent ---


def beat(commit: int = 0) -> Heartbeat:
    return Heartbeat(sender=1, to=2, term=1, commit=commit)


def append(size: int) -> Append:
    return Append(
        sender=1,
        to=2,
        term=1,
        previous_index=0,
        previous_term=0,
        commit=0,
        entries=(Entry(1, 1, data=bytes(size)),),
    )


def test_a_heartbeat_overtakes_what_is_large() -> None:
    sending = Sending()
    assert sending.take() is None
    sending.put([append(limits.raft_frame_bytes_max), append(10), beat()])
    first = sending.take()
    assert first is not None
    assert messages.decode(first) == [beat()]
    second = sending.take()
    assert second is not None
    assert messages.decode(second) == [append(limits.raft_frame_bytes_max)]
    third = sending.take()
    assert third is not None
    assert messages.decode(third) == [append(10)]
    assert sending.take() is None
    assert not sending.waiting


def test_what_is_too_much_is_dropped_and_room_comes_back() -> None:
    sending = Sending()
    sending.put([append(limits.raft_outbox_bytes_max)] * 2)
    assert sending.dropped == 1
    assert sending.take() is not None
    sending.put([append(limits.raft_outbox_bytes_max)])
    assert sending.dropped == 1


@given(st.lists(st.one_of(st.integers(0, 3_000_000).map(append), st.integers(0, 9).map(beat)), max_size=12))
def test_all_that_is_taken_arrives_once_in_frames_that_fit(batch: list[Append | Heartbeat]) -> None:
    sending = Sending()
    sending.put(batch)
    arrived: list[messages.AnyMessage] = []
    while (data := sending.take()) is not None:
        several = messages.decode(data)
        assert len(data) <= limits.raft_frame_bytes_max or len(several) == 1
        arrived += several
    assert len(arrived) == len(batch) - sending.dropped
    for kind in (Append, Heartbeat):  # each kind in its order
        sent = [message for message in batch if isinstance(message, kind)]
        got = [message for message in arrived if isinstance(message, kind)]
        assert got == sent[: len(got)] or sending.dropped


def test_a_session_says_that_it_lives_only_when_it_has_nothing_else_to_say() -> None:
    session = Session(2, 1, now=0.0)
    assert session.take(1.0) is None
    session.greet()
    assert session.take(2.0) == b""
    assert session.take(3.0) is None
    session.greet()
    session.send([beat()])
    assert session.take(4.0)
    assert session.take(5.0) is None
    assert session.said == 4.0


# --- who may talk ---


KNOWN = Acquaintances(
    "c1", Member(1, "n1", "a1:1"), {2: Member(2, "n2", "a2:1"), 3: Member(3, "", "a3:1")}, {9}
)


def test_members_are_let_in() -> None:
    KNOWN.check(Introduction("c1", 2, 1, "n2"))
    KNOWN.check(Introduction("c1", 3, 1, "whoever"))  # a member whose node nobody knows yet


@pytest.mark.parametrize(
    ("met", "kind", "sentence"),
    [
        (Introduction("c2", 2, 1, "n2"), errors.FailedPrecondition, "you are one of c2"),
        (Introduction("c1", 2, 1, "n2", FORMAT - 1), errors.FailedPrecondition, "upgrade yours"),
        (Introduction("c1", 2, 1, "n2", FORMAT + 1), errors.FailedPrecondition, "upgrade this one"),
        (Introduction("c1", 1, 1, "n1"), errors.FailedPrecondition, "two managers run with member id 1"),
        (Introduction("c1", 2, 7, "n2"), errors.FailedPrecondition, "lost its log and has joined anew"),
        (Introduction("c1", 4, 1, "n4"), errors.Unavailable, "member 4 is not known here"),
        (Introduction("c1", 2, 1, "n3"), errors.PermissionDenied, "member 2 is node n2"),
    ],
)
def test_others_are_told_why_not(met: Introduction, kind: type[errors.CoveyError], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        KNOWN.check(met)
