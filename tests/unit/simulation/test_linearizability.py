"""The checker of histories: it knows both kinds."""

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import pytest

from tests.support.linearizability import (
    NEVER,
    NotLinearizable,
    Operation,
    check,
    check_orders,
    check_zones,
)


def w(value: str, began: float, ended: float) -> Operation:
    return Operation("write", value, began, ended)


def r(value: str, began: float, ended: float) -> Operation:
    return Operation("read", value, began, ended)


def s(found: str, value: str, began: float, ended: float) -> Operation:
    return Operation("swap", value, began, ended, found)


LINEARIZABLE = {
    "nothing": [],
    "what was never written": [r("", 0, 1)],
    "one after the other": [w("a", 0, 1), r("a", 2, 3), w("b", 4, 5), r("b", 6, 7)],
    "a read meanwhile may see either": [w("a", 0, 1), w("b", 2, 10), r("a", 3, 4), r("b", 5, 6)],
    "writes at once come in any order": [w("a", 0, 10), w("b", 0, 10), r("b", 11, 12), r("b", 13, 14)],
    "a late effect of who got no answer": [w("a", 0, 1), w("b", 2, NEVER), r("a", 5, 6), r("b", 50, 51)],
    "who got no answer, and nobody saw it": [w("a", 0, 1), w("b", 2, NEVER), r("a", 5, 6)],
    "swaps in a row": [s("", "a", 0, 5), s("a", "b", 0, 5), r("b", 6, 7)],
    "a read that got no answer": [w("a", 0, 1), r("", 2, NEVER)],
}

NOT_LINEARIZABLE = {
    "what nobody wrote": [r("a", 0, 1)],
    "a stale read": [w("a", 0, 1), w("b", 2, 3), r("a", 4, 5)],
    "a lost write": [w("a", 0, 1), r("", 2, 3)],
    "back in time": [w("a", 0, 1), w("b", 2, 20), r("b", 3, 4), r("a", 5, 6)],
    "two see two orders": [w("a", 0, 9), w("b", 0, 9), r("a", 10, 11), r("b", 12, 13), r("a", 14, 15)],
    "seen before it was asked for": [r("a", 0, 1), w("a", 2, 3)],
    "two swaps of the same": [s("", "a", 0, 5), s("", "b", 0, 5)],
    "an unknown one takes effect twice": [
        w("u", 0, NEVER),
        r("u", 1, 2),
        w("b", 3, 4),
        r("b", 5, 6),
        r("u", 7, 8),
    ],
    "an unknown one is seen before it began": [r("u", 0, 1), w("u", 2, NEVER)],
}


@pytest.mark.parametrize("name", LINEARIZABLE)
def test_what_one_copy_could_have_said(name: str) -> None:
    check(LINEARIZABLE[name])


@pytest.mark.parametrize("name", NOT_LINEARIZABLE)
def test_what_no_single_copy_says(name: str) -> None:
    with pytest.raises(NotLinearizable):
        check(NOT_LINEARIZABLE[name])


def single_copy(seed: int, count: int = 400, clients: int = 6) -> list[Operation]:
    """A history of a real single copy: each operation takes effect at a moment between its ends."""
    dice, value = Random(seed), ""
    free = [0.0] * clients
    moments: list[tuple[float, float, float, int, int]] = []
    for number in range(count):
        client = dice.randrange(clients)
        began = free[client] + dice.random()
        effect = began + dice.random() * 3
        ended = effect + dice.random() * 3
        free[client] = ended
        moments.append((effect, began, ended, client, number))
    history = []
    for _, began, ended, client, number in sorted(moments):
        if dice.random() < 0.5:
            value = str(number)
            unknown = dice.random() < 0.1
            history.append(Operation("write", value, began, NEVER if unknown else ended, who=str(client)))
        else:
            history.append(Operation("read", value, began, ended, who=str(client)))
    return history


@pytest.mark.parametrize("seed", range(20))
def test_long_histories_of_a_single_copy(seed: int) -> None:
    check(single_copy(seed))


@pytest.mark.parametrize("seed", range(20))
def test_one_stale_read_among_many_operations(seed: int) -> None:
    history = single_copy(seed)
    last = max(op.ended for op in history if op.ended != NEVER)
    first_write = next(op for op in history if op.kind == "write")
    with pytest.raises(NotLinearizable):
        check([*history, w("last", last + 1, last + 2), r(first_write.value, last + 3, last + 4)])


def test_a_failure_shows_where() -> None:
    with pytest.raises(NotLinearizable, match=r"(?s)'a' and 'b'.*4\.\.5 read 'a'"):
        check([w("a", 0, 1), w("b", 2, 3), r("a", 4, 5)])
    with pytest.raises(NotLinearizable, match=r"(?s)more than 2.*4\.\.5 read 'a'"):
        check([w("a", 0, 1), s("a", "b", 2, 3), r("a", 4, 5)])


def any_history(dice: Random) -> list[Operation]:
    """A few operations at random times, with answers at random: about half of them make sense."""
    written = [str(number) for number in range(dice.randint(1, 4))]
    history = []
    for value in written:
        began = dice.uniform(0, 10)
        history.append(w(value, began, began + dice.uniform(0, 6)))
    for _ in range(dice.randint(1, 4)):
        began = dice.uniform(0, 14)
        history.append(r(dice.choice(["", *written]), began, began + dice.uniform(0, 6)))
    return sorted(history, key=lambda op: op.began)


def accepts(check: Callable[[Sequence[Operation], str], None], history: Sequence[Operation]) -> bool:
    try:
        check(history, "")
    except NotLinearizable:
        return False
    return True


def test_both_ways_to_check_agree() -> None:
    dice, found = Random(1), Counter[bool]()
    for _ in range(3000):
        history = any_history(dice)
        answer = accepts(check_orders, history)
        assert accepts(check_zones, history) == answer, history
        found[answer] += 1
    assert min(found[True], found[False]) > 500


def test_many_at_once_cost_little() -> None:
    check([w(str(number), 0, 100) for number in range(300)] + [r(str(n), 0, 100) for n in range(300)])
