"""Whether a history of one register could have come from a single copy, asked one thing at a time.

    check([Operation("write", "a", 0, 5), Operation("read", "a", 3, 9)])    # raises NotLinearizable

An operation takes effect at one moment between its beginning and its end. The search looks for an order of such
moments in which every read gives what was written last (Wing and Gong, 1993), and remembers where it has been:
the same operations done with the same value in the register need no second look (Lowe, 2017).

What nobody knows the outcome of may have happened at any time after it began, or never: `ended` is NEVER. It is
left out if nobody ever saw what it wrote, as then it makes no difference. What certainly did not happen does not
belong into a history. Values are unique, or the check is weaker. Registers are checked one by one: linearizability
is local (Herlihy and Wing, 1990).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

NEVER = math.inf
_STATES_MAX = 2_000_000


class NotLinearizable(AssertionError):
    """No single copy could have given these answers."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What somebody asked for and got. A swap writes `value` where it has found `found`."""

    kind: Literal["read", "write", "swap"]
    value: str
    began: float
    ended: float
    found: str = ""
    who: str = ""

    def __str__(self) -> str:
        what = f"{self.found!r} -> {self.value!r}" if self.kind == "swap" else repr(self.value)
        return f"{self.began:g}..{self.ended:g} {self.who} {self.kind} {what}".replace("  ", " ")


def check(history: Sequence[Operation], initial: str = "") -> None:
    """Raise `NotLinearizable`, with the part of the history that nothing can explain."""
    seen = {op.value for op in history if op.kind == "read"} | {op.found for op in history}
    ops = sorted(
        (op for op in history if op.ended != NEVER or (op.kind != "read" and op.value in seen)),
        key=lambda op: op.began,
    )
    furthest = _search(ops, initial)
    if furthest < len(ops):
        stuck = sorted((op for op in ops if op.ended != NEVER), key=lambda op: op.ended)
        around = "\n  ".join(map(str, stuck[max(0, furthest - 12) : furthest + 4]))
        raise NotLinearizable(
            f"of {len(ops)} operations no order explains more than {furthest}; about there:\n  {around}"
        )


def _search(ops: Sequence[Operation], initial: str) -> int:
    """How many operations can be put into an order; all, if the history is linearizable."""
    whole = (1 << len(ops)) - 1
    furthest = 0
    beginning: tuple[int, int, str] = (
        0,
        0,
        initial,
    )  # which are done, the first that is not, what the register holds
    stack: list[tuple[int, int, str]] = [beginning]
    known: set[tuple[int, int, str]] = {beginning}
    while stack:
        done, first, value = stack.pop()
        furthest = max(furthest, done.bit_count())
        if done == whole:
            break
        for number in _next(ops, done, first):
            after = _effect(ops[number], value)
            if after is None:
                continue
            now_done, now_first = done | 1 << number, first
            while now_done >> now_first & 1:
                now_first += 1
            state = (now_done, now_first, after)
            if state not in known:
                known.add(state)
                stack.append(state)
        if len(known) > _STATES_MAX:
            raise RuntimeError(
                f"cannot tell within {_STATES_MAX} states: use more registers, or fewer clients"
            )
    return furthest


def _next(ops: Sequence[Operation], done: int, first: int) -> list[int]:
    """Which operations may be the next: those that began before any other one that is left had ended."""
    found, soonest_end = [], NEVER
    for number in range(first, len(ops)):
        if ops[number].began > soonest_end:
            break
        if not done >> number & 1:
            found.append(number)
            soonest_end = min(soonest_end, ops[number].ended)
    # The one that ended first is tried first: it is the last to go on the stack.
    return sorted(found, key=lambda number: -ops[number].ended)


def _effect(op: Operation, value: str) -> str | None:
    """What the register holds afterwards; None if that is not what the operation has seen."""
    if op.kind == "read":
        return value if op.value == value else None
    if op.kind == "swap" and op.found != value:
        return None
    return op.value
