"""Which object is meant by an id, a prefix of one, or a name."""

from collections.abc import Sequence
from typing import TypeVar

from covey.errors import InvalidArgument, NotFound
from covey.model import predefined
from covey.model.objects import Network, Node, Service
from manager.store.view import BY_NAME, View

T = TypeVar("T", Node, Service, Network)


def find_service(view: View, text: str) -> Service:
    """Find a service by id, name or unambiguous prefix of an id."""
    return _find(view, Service, "service", text)


def find_network(view: View, text: str) -> Network:
    """Find a network by id, name or unambiguous prefix of an id; those that every node has, too.

    One that is being removed is found by its name as well: it is listed, and its name is not given again meanwhile.
    """
    if (own := predefined.find(text)) is not None:
        return own
    for network in view.all(Network) if not view.find(Network, BY_NAME, text) else ():
        if network.pending_delete and network.spec.name.casefold() == text.casefold():
            return network
    return _find(view, Network, "network", text)


def find_node(view: View, text: str) -> Node:
    """Find a node by id, hostname or unambiguous prefix of an id."""
    return _find(view, Node, "node", text)


def _find(view: View, kind: type[T], noun: str, text: str) -> T:
    found = view.get(kind, text)
    if found is not None:
        return found
    named = view.find(kind, BY_NAME, text)
    candidates = named or [item for item in view.all(kind) if text and item.id.startswith(text)]
    if len(candidates) > 1:
        raise InvalidArgument(f"{noun} {text!r} is ambiguous: {_ids(candidates)}; name one by its id")
    if not candidates:
        raise NotFound(f"there is no {noun} {text!r}; `covey {noun} ls` lists them")
    return candidates[0]


def _ids(candidates: Sequence[Node | Service | Network]) -> str:
    return ", ".join(item.id for item in candidates[:5])
