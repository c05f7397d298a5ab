"""The log in memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.raft.entry import Entry, EntryKind, SnapshotMark
from manager.raft.log import ENTRY_OVERHEAD_BYTES, Log


def entries(*terms: int, after: int = 0, size: int = 0) -> list[Entry]:
    return [Entry(after + n, term, EntryKind.DATA, bytes(size)) for n, term in enumerate(terms, 1)]


def log_with(*terms: int, after: int = 0, after_term: int = 0, commit: int | None = None) -> Log:
    commit = after if commit is None else commit
    return Log(SnapshotMark(after, after_term), entries(*terms, after=after), commit, handed=after)


def test_terms_are_known_from_the_base_to_the_end() -> None:
    log = log_with(2, 3, 3, after=5, after_term=1)
    assert [log.term_at(index) for index in range(4, 10)] == [None, 1, 2, 3, 3, None]


def test_an_empty_log_ends_at_its_base() -> None:
    log = log_with(after=5, after_term=2)
    assert (log.last_index, log.last_term, log.term_at(5)) == (5, 2, 2)
    assert log.between(5, 5) == ()


@pytest.mark.parametrize(
    ("terms", "first"),
    [((2, 3), 0), ((1, 2, 3, 4), 3), ((1, 2, 4), 2), ((3, 3), 0), ((1, 2), 2), ((1, 2, 3), 3)],
)
def test_the_first_new_entry(terms: tuple[int, ...], first: int) -> None:
    """After an entry that is here: `terms` follow the base."""
    log = log_with(1, 2, 3)
    assert log.first_new(entries(*terms)) == first


def test_entries_that_follow_the_last_are_all_new() -> None:
    assert log_with(1, 2).first_new(entries(2, 2, after=2)) == 0
    assert log_with(1, 2).first_new([]) == 0


@pytest.mark.parametrize(
    ("index", "term", "found"),
    [(4, 3, (4, 3)), (9, 9, (4, 3)), (4, 2, (3, 2)), (3, 1, (2, 1)), (4, 0, (0, 0))],
)
def test_the_last_place_that_can_agree(index: int, term: int, found: tuple[int, int]) -> None:
    assert log_with(1, 1, 2, 3).last_with_term(index, term) == found


def test_what_is_cut_off_while_it_is_being_written_is_not_taken_for_durable() -> None:
    log = log_with()
    log.append(entries(1, 1, 1, 1))
    log.give_unsaved()
    log.truncate(3)
    log.append(entries(2, after=2))
    log.durable = log.given
    assert log.durable == 2
    assert log.give_unsaved() == tuple(entries(2, after=2))


def test_what_is_committed_cannot_be_cut_off() -> None:
    log = log_with(1, 1, commit=1)
    with pytest.raises(AssertionError, match="committed"):
        log.truncate(1)
    log.truncate(2)
    assert log.last_index == 1


def test_nothing_after_the_end_can_be_committed() -> None:
    with pytest.raises(AssertionError):
        log_with(1).commit_to(2)


def test_the_commit_index_never_falls() -> None:
    log = log_with(1, 1, 1)
    assert log.commit_to(2)
    assert not log.commit_to(1)
    assert log.commit == 2


def test_committed_entries_are_handed_out_once_and_not_too_many_at_a_time() -> None:
    log = log_with(1, 1, 1)
    log.commit_to(3)
    assert [[e.index for e in log.hand_out(2)] for _ in range(3)] == [[1, 2], [3], []]


def test_forgotten_entries_are_gone_and_the_last_ones_term_is_kept() -> None:
    log = log_with(1, 2, 2, 3)
    log.commit_to(3)
    log.hand_out(9)
    log.forget(2)
    assert (log.base_index, log.base_term, log.last_index) == (2, 2, 4)
    assert [entry.index for entry in log.between(2, 4)] == [3, 4]
    log.forget(1)
    assert log.base_index == 2
    with pytest.raises(AssertionError):
        log.forget(4)


def test_a_snapshot_restarts_it() -> None:
    log = log_with(1, 1, 1)
    log.restore(SnapshotMark(9, 4))
    assert (log.base_index, log.last_index, log.last_term, log.commit, log.handed) == (9, 9, 4, 9, 9)
    with pytest.raises(AssertionError):
        log.restore(SnapshotMark(9, 4))


@given(
    sizes=st.lists(st.integers(0, 500), min_size=1, max_size=30),
    dropped=st.integers(0, 10),
    after=st.integers(0, 30),
    bytes_max=st.integers(0, 2000),
)
def test_a_batch_is_as_long_as_fits_and_at_least_one(
    sizes: list[int], dropped: int, after: int, bytes_max: int
) -> None:
    log = Log(SnapshotMark(), [Entry(n, 1, EntryKind.DATA, bytes(s)) for n, s in enumerate(sizes, 1)], 0, 0)
    log.commit_to(len(sizes))
    log.hand_out(99)
    log.forget(min(dropped, len(sizes)))
    after = min(max(after, log.base_index), log.last_index)
    end = log.batch_end(after, bytes_max)
    cost = sum(sizes[after:end]) + ENTRY_OVERHEAD_BYTES * (end - after)
    assert log.bytes_between(after, end) == cost
    assert end > after or after == log.last_index
    assert cost <= bytes_max or end <= after + 1
    if end < log.last_index and end > after:
        assert cost + sizes[end] + ENTRY_OVERHEAD_BYTES > bytes_max
