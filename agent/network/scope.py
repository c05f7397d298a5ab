"""In which namespaces a change shows: only those are planned. Pure."""

from collections.abc import Mapping

from covey.model.objects import Network

from . import names
from .desired.facts import overlays
from .seam import Sandbox
from .state import NODE


def around(network_id: str, networks: Mapping[str, Network], sandboxes: Mapping[str, Sandbox]) -> set[str]:
    """The namespaces that a network's table shows in."""
    members = {
        task_id
        for task_id, sandbox in sandboxes.items()
        if any(each.network.id == network_id for each in overlays(sandbox))
    }
    network = networks.get(network_id)
    mesh = {NODE} if network is None or network.spec.ingress else set()
    return mesh | members | ({names.sandbox(network_id)} if members else set())


def touched(*sandboxes: Sandbox | None) -> set[str]:
    """The namespaces in which a task's coming or going shows."""
    found = {NODE}
    for sandbox in sandboxes:
        if sandbox is not None:
            found |= {sandbox.task_id, *(names.sandbox(each.network.id) for each in overlays(sandbox))}
    return found
