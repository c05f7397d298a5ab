"""An explanation laid out: the answer first, what to do about it, and then the tasks one by one."""

from collections.abc import Iterator, Sequence

from covey.client.views import Explanation, TaskExplanation

from .text import some, table

_TASK_LINES = 30


def why_text(told: Explanation) -> str:
    """Lay out an explanation."""
    return "\n".join(_lines(told))


def _lines(told: Explanation) -> Iterator[str]:
    yield told.summary
    yield from (f"To do: {advice}" for advice in told.advice)
    alone = len(told.tasks) == 1 and told.tasks[0].text in told.summary
    if told.tasks and not alone:
        yield ""
        groups = _alike(told.tasks)
        yield table(("TASK", "NODE", "WHY"), map(_row, groups[:_TASK_LINES]))
        if more := sum(map(len, groups[_TASK_LINES:])):
            yield f"and {more} more; `covey service ps` lists them all"
    if told.ruled_out or told.open:
        yield ""
        yield from _nodes(told)


def _alike(tasks: Sequence[TaskExplanation]) -> list[list[TaskExplanation]]:
    """Bring tasks together that stand alike: hundreds may wait for the same reason."""
    groups: dict[tuple[str, str], list[TaskExplanation]] = {}
    for task in tasks:
        groups.setdefault((task.node_name, task.text), []).append(task)
    return list(groups.values())


def _row(tasks: Sequence[TaskExplanation]) -> tuple[str, str, str]:
    names = tasks[0].name if len(tasks) == 1 else f"{tasks[0].name} and {len(tasks) - 1} more"
    return names, tasks[0].node_name or "-", tasks[0].text


def _nodes(told: Explanation) -> Iterator[str]:
    yield f"Nodes that could take one more task: {len(told.open)} of {told.nodes} ({some(told.open)})"
    for ruled in told.ruled_out:
        said = ruled.detail or "no room"
        remedy = f"; {ruled.remedy}" if ruled.remedy else ""
        yield f"  {ruled.filter} rules out {len(ruled.nodes)} ({some(ruled.nodes)}): {said}{remedy}"
