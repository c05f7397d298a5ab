"""What this node's namespaces should hold, computed from what the managers say. Pure.

`facts` names the inputs; `overlay`, `task` and `node` each compute one kind of namespace; `whole` puts the
node together. `addressing` says who has which addresses. `gateway` keeps the one thing decided here and not by
the managers: the addresses on the gateway bridge, which no other node ever sees.
"""

from ..state import NODE, Netns
from . import node, overlay, task
from .facts import Facts

__all__ = ["Facts", "namespace", "names", "whole"]


def names(facts: Facts) -> set[str]:
    """The namespaces that should exist, the node's own among them."""
    return {NODE, *facts.sandboxes, *overlay.sandboxes(facts)}


def namespace(facts: Facts, name: str) -> Netns:
    """What one of `names(facts)` should hold."""
    if name == NODE:
        return node.wish(facts)
    if name in facts.sandboxes:
        return task.wish(facts, facts.sandboxes[name])
    return overlay.wish(facts, name)


def whole(facts: Facts) -> dict[str, Netns]:
    """What every namespace should hold."""
    return {name: namespace(facts, name) for name in sorted(names(facts))}
