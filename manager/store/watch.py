"""The queue between the store and one watcher: every commit in order, or the word that some were lost."""

from collections import deque

from covey import errors, limits

from .transaction import Commit


class Lagged(errors.Unavailable):
    """A watcher fell so far behind that commits were dropped: read the store anew, and watch anew."""


class WatchQueue:
    """Commits that a watcher has not taken yet; bounded, so that one that sleeps costs no more than that."""

    def __init__(self, bound: int = limits.watch_queue_commits_max) -> None:
        self._bound = bound
        self._commits: deque[Commit] = deque()
        self._end: errors.CoveyError | None = None
        self._ended = False

    def offer(self, commit: Commit) -> None:
        """Add a commit; one too many ends the watch."""
        if self._ended:
            return
        if len(self._commits) >= self._bound:
            self._commits.clear()
            self.end(
                Lagged(
                    f"more than {self._bound} commits went by unread, up to index {commit.index}; "
                    "read the store again and watch from there"
                )
            )
        else:
            self._commits.append(commit)

    def end(self, error: errors.CoveyError | None = None) -> None:
        """Say that nothing will follow what is queued, and why; the first word counts."""
        if not self._ended:
            self._ended, self._end = True, error

    def take(self) -> list[Commit] | None:
        """Take all there is (perhaps nothing yet), or None at the end; raises the reason of a bad end."""
        commits = list(self._commits)
        self._commits.clear()
        if commits or not self._ended:
            return commits
        if self._end is not None:
            raise self._end
        return None
