"""Plans that fail midway, again and again, on a model of the kernel: in the end there is what was wished for last.

The kernel goes on with a batch after one of its messages failed, so a fault leaves holes, not just an early end: what is
made of a link that failed may stand half made, and what lies on one that is not there fails as well.
"""

from collections.abc import Collection
from dataclasses import replace
from itertools import groupby

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.network import ops
from agent.network.ops import Operation
from agent.network.plan import plan
from agent.network.state import NODE, Kind, Netns, Node
from tests.properties.test_network_plan import EMPTY_NODE, Kernel, damage, settled, spoil, wishes


def attempt(kernel: Kernel, steps: list[Operation], failing: Collection[int], *, half: bool) -> None:
    """Carry out `steps`; those in the places `failing` fail, and with them what comes after their batch."""
    batches = groupby(
        enumerate(steps), lambda each: (each[1].netns, isinstance(each[1], ops.ALONE) and each[0])
    )
    for _, batch in batches:
        failed = False
        for place, step in batch:
            if place in failing:
                failed = True
                if half and isinstance(step, ops.CreateLink) and step.link.kind is not Kind.VETH:
                    kernel.step(
                        replace(step, link=replace(step.link, up=False, mac="", master="", port=None))
                    )
            elif failed:
                before = dict(kernel.node)
                try:
                    kernel.step(step)
                except (AssertionError, KeyError):  # the kernel has nothing to do it to
                    kernel.node = before
            else:
                kernel.step(step)
        if failed:
            return


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(wishes(), damage()), min_size=1, max_size=4), st.booleans(), st.data())
def test_whatever_failed_midway_the_last_wish_comes_true(
    tries: list[tuple[dict[str, Netns], list[int]]], half: bool, data: st.DataObject
) -> None:
    kernel = Kernel(EMPTY_NODE, set())
    wish: Node = {NODE: Netns()}
    for wish, picks in tries:
        spoil(kernel, picks)
        steps = plan(kernel.read(), wish, kernel.broken)
        places = st.sets(st.integers(0, max(0, len(steps) - 1)), min_size=1, max_size=4)
        attempt(kernel, steps, data.draw(places, label="failing"), half=half)
    kernel.run(plan(kernel.read(), wish, kernel.broken))
    assert settled(kernel.read(), dict(wish)) == settled(dict(wish), dict(wish))
    assert plan(kernel.read(), wish, kernel.broken) == []
