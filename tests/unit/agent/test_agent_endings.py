"""How containers ended, in words."""

import pytest

from agent.runtime.seam import Exit
from agent.tasks.record import ending_of, shortened
from covey import limits


@pytest.mark.parametrize(
    ("exit", "words"),
    [
        (Exit(3), "exit code 3"),
        (Exit(143), "exit code 143 (signal 15)"),
        (Exit(137, oom_killed=True), "exit code 137 (signal 9): it ran out of memory"),
        (Exit(1, oom_killed=True), "exit code 1: some of its processes ran out of memory while it ran"),
        (Exit(None, reason="conmon was killed"), "lost: conmon was killed"),
        (Exit(None), "the container is gone from this node, and nobody saw how it ended"),
    ],
)
def test_how_it_ended(exit: Exit, words: str) -> None:
    assert ending_of(exit) == words


def test_a_status_is_one_line_in_bounds_of_what_can_be_shown() -> None:
    assert shortened("as it is: ä €") == "as it is: ä €"
    assert shortened("a\nb\x1b[1m\u202e\udc80") == "a b\ufffd[1m\ufffd\ufffd"
    cut = shortened("x" * (limits.task_error_chars_max + 1))
    assert (len(cut), cut[-2:]) == (limits.task_error_chars_max, "x…")
