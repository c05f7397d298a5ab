"""Why a task is pending, in one sentence that names the reasons and what would help."""

from collections.abc import Mapping, Sequence

from .filters import Filter
from .fleet import Host

RuledOut = Mapping[Filter, Sequence[Host]]
"""The nodes by the filter that ruled them out, in the order of the filters."""


def explain(ruled_out: RuledOut, nodes: int) -> str:
    """Write `no suitable node of 12: resources 7 nodes: ...; would help: ...`."""
    if not nodes:
        return "no suitable node: the cluster has no nodes; would help: join one"
    parts: list[str] = []
    remedies: list[str] = []
    for filter, hosts in ruled_out.items():
        reason = filter.explain(hosts)
        parts.append(f"{filter.name} {_nodes(len(hosts))}: {reason.detail}")
        if reason.remedy:
            remedies.append(reason.remedy)
    text = f"no suitable node of {nodes}: {'; '.join(parts)}"
    return f"{text}; would help: {', or '.join(remedies)}" if remedies else text


def explain_one(ruled_out: RuledOut) -> str:
    """Say why the one node a task is bound to does not take it."""
    filter, hosts = next(iter(ruled_out.items()))
    reason = filter.explain(hosts)
    text = f"node {hosts[0].name} has no room: {filter.name}: {reason.detail}"
    return f"{text}; would help: {reason.remedy}" if reason.remedy else text


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"
