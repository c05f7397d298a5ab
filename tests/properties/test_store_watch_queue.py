"""A watcher gets every commit in order, or is told that it did not."""

from hypothesis import given
from hypothesis import strategies as st

from manager.store.transaction import Commit
from manager.store.watch import Lagged, WatchQueue


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=40))
def test_a_watch_has_no_gap(bound: int, script: list[bool]) -> None:
    queue, sent, seen = WatchQueue(bound), 0, list[int]()
    for take in script:
        if not take:
            sent += 1
            queue.offer(Commit(sent, 0, ()))
            continue
        try:
            commits = queue.take()
        except Lagged:
            assert sent - len(seen) > bound
            return
        assert commits is not None
        assert len(commits) <= bound
        seen += [commit.index for commit in commits]
        assert seen == list(range(1, sent + 1))
