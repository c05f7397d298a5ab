"""An explanation laid out: the answer first, what to do about it, and then the tasks one by one."""

from collections.abc import Iterator, Sequence

from covey.client.views import Explanation

from .text import table

_TASK_LINES = 30
_NODE_NAMES = 8


def why_text(told: Explanation) -> str:
    """Lay out an explanation."""
    return "\n".join(_lines(told))


def _lines(told: Explanation) -> Iterator[str]:
    yield told.summary
    yield from (f"To do: {advice}" for advice in told.advice)
    alone = len(told.tasks) == 1 and told.tasks[0].text in told.summary
    if told.tasks and not alone:
        yield ""
        rows = [(task.name, task.node_name or "-", task.text) for task in told.tasks[:_TASK_LINES]]
        yield table(("TASK", "NODE", "WHY"), rows)
        if len(told.tasks) > _TASK_LINES:
            yield f"and {len(told.tasks) - _TASK_LINES} more; `covey service ps` lists them all"
    if told.ruled_out or told.open:
        yield ""
        yield from _nodes(told)


def _nodes(told: Explanation) -> Iterator[str]:
    yield f"Nodes that could take one more task: {len(told.open)} of {told.nodes} ({_some(told.open)})"
    for ruled in told.ruled_out:
        said = ruled.detail or "no room"
        remedy = f"; {ruled.remedy}" if ruled.remedy else ""
        yield f"  {ruled.filter} rules out {len(ruled.nodes)} ({_some(ruled.nodes)}): {said}{remedy}"


def _some(names: Sequence[str]) -> str:
    """Name nodes, as many as one cares to read."""
    more = len(names) - _NODE_NAMES
    return ", ".join((*names[:_NODE_NAMES], *([f"and {more} more"] if more > 0 else []))) or "none"
