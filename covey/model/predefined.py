"""The networks that every node has of itself: nothing of them is kept, and their id is their name.

* `bridge`: what a task has that is on no other network: the node's bridge, by which it gets out.
* `host`: the node's own network; the task's ports are the node's.
* `none`: nothing but loopback.

They are no overlays: a task has no endpoint there, and cannot be reached by its service's name.
"""

from collections.abc import Iterable

from .objects import Network
from .specs import NetworkAttachmentSpec, NetworkSpec

BRIDGE, HOST, NONE = "bridge", "host", "none"
NAMES = (BRIDGE, HOST, NONE)

NETWORKS = tuple(Network(id=name, spec=NetworkSpec(name=name, driver=name)) for name in NAMES)
"""As they are shown; they are in no store."""


def find(text: str) -> Network | None:
    """Give the predefined network of a name; None if there is none."""
    return next((network for network in NETWORKS if network.id == text.casefold()), None)


def kind_of(attachments: Iterable[NetworkAttachmentSpec]) -> str:
    """Say which of them a task is on; "" if it is on others, or none are named."""
    return next((each.target for each in attachments if each.target in NAMES), "")
