"""Whether a history of one register could have come from a single copy, asked one thing at a time.

    check([Operation("write", "a", 0, 5), Operation("read", "a", 3, 9)])    # raises NotLinearizable

An operation takes effect at one moment between its beginning and its end. The search looks for an order of such
moments in which every read gives what was written last (Wing and Gong, 1993), and remembers where it has been:
the same operations done with the same value in the register need no second look (Lowe, 2017). Where there are but
reads and writes of unique values, no search is needed.

What nobody knows the outcome of may have happened at any time after it began, or never: `ended` is NEVER. It is
left out if nobody ever saw what it wrote, as then it makes no difference. What certainly did not happen does not
belong into a history. Values are unique, or the check is weaker. Registers are checked one by one: linearizability
is local (Herlihy and Wing, 1990).
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
    ops = sorted(_known(history), key=lambda op: op.began)
    written = [op.value for op in ops if op.kind == "write"]
    if all(op.kind != "swap" for op in ops) and len({initial, *written}) == 1 + len(written):
        check_zones(ops, initial)
    else:
        check_orders(ops, initial)


def check_zones(ops: Sequence[Operation], initial: str) -> None:
    """Check reads and writes of unique values, in quadratic time (Gibbons and Korach, 1997).

    A write and the reads that have seen it stand together in any order. So they come before others as soon as one of
    them had ended before one of the others began; and no two may each come before the other.
    """
    together: dict[str, list[Operation]] = {initial: [Operation("write", initial, -NEVER, -NEVER)]}
    for op in sorted(ops, key=lambda op: op.kind != "write"):
        if op.kind == "write":
            together[op.value] = [op]
        elif op.value not in together or op.ended < together[op.value][0].began:
            raise NotLinearizable(f"no order explains it, nobody had written that: {op}")
        else:
            together[op.value].append(op)
    zones = [(min(op.ended for op in ops), max(op.began for op in ops), ops) for ops in together.values()]
    for ended, began, some in zones:
        if ended >= began:
            continue  # all at once: then the others contradict themselves, if at all
        for other_ended, other_began, others in zones:
            if others is not some and ended < other_began and other_ended < began:
                around = "\n  ".join(map(str, sorted(some + others, key=lambda op: op.began)))
                raise NotLinearizable(
                    f"no order explains it, {some[0].value!r} and {others[0].value!r} both come first:\n  {around}"
                )


def check_orders(ops: Sequence[Operation], initial: str) -> None:
    """Search for an order (Wing and Gong)."""
    furthest = _search(ops, initial)
    if furthest < len(ops):
        stuck = sorted((op for op in ops if op.ended != NEVER), key=lambda op: op.ended)
        around = "\n  ".join(map(str, stuck[max(0, furthest - 12) : furthest + 4]))
        raise NotLinearizable(
            f"of {len(ops)} operations no order explains more than {furthest}; about there:\n  {around}"
        )


def _known(history: Sequence[Operation]) -> Iterator[Operation]:
    """Leave out what makes no difference, and give what has no end the latest one: when somebody had seen it."""
    seen: dict[str, float] = {}
    for op in history:
        if (value := op.value if op.kind == "read" else op.found if op.kind == "swap" else None) is not None:
            seen[value] = min(seen.get(value, NEVER), op.ended)
    times_written = Counter(op.value for op in history if op.kind != "read")
    for op in history:
        if op.ended != NEVER:
            yield op
        elif op.kind != "read" and op.value in seen:
            yield replace(op, ended=seen[op.value]) if times_written[op.value] == 1 else op


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
