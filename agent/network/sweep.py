"""Which tracked connections must be forgotten once an endpoint is gone.

Connection tracking pins a flow to the backend it was first sent to. While an endpoint drains that is what
we want; once its row has left the table, a UDP sender would talk to nobody for as long as it talks, and a
TCP client would wait for its timeout. Forgetting the flow sends the next packet through the rules again: UDP
reaches another backend, TCP is reset at once. The rule needs no memory of the past: a flow is stale if it
was sent to one of our addresses and is answered by nobody in the table. So it also catches what was sent to
a virtual address before there was a rule for it. Nor can who is only joining have been sent anything: where a subnet
is full, he has the address of who has left in that moment.
"""

from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from .desired.digest import joins
from .desired.facts import Digest, Facts, overlays
from .desired.node import ingress_network
from .lineage import touched
from .state import NODE


@dataclass(frozen=True, slots=True)
class Flow:
    """A tracked connection: where it was sent, who answers, and its original tuple and id as the kernel wrote them.

    `closed`: both ends have ended it, and the kernel merely remembers.
    """

    destination: str
    answered_by: str
    original: bytes = b""
    id: bytes = b""
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Sweep:
    """Which flows of one namespace are stale: sent to `destinations`, or answered from `subnets` (those
    that were translated by the mesh), by nobody `alive`.
    """

    netns: str
    destinations: Container[str]
    subnets: tuple[IPv4Network | IPv6Network, ...]
    alive: Container[str]

    def stale(self, flow: Flow) -> bool:
        """Tell whether the flow must be forgotten.

        Closed ones need not be, as a new connection from the same port is sent anew by itself; and must not be: such a
        connection may have come since the flow was seen, and would be forgotten in its place.
        """
        if flow.closed or flow.answered_by in self.alive:
            return False
        if flow.destination in self.destinations:
            return True
        translated = flow.answered_by != flow.destination
        answered_by = ip_address(flow.answered_by)
        return translated and any(answered_by in each for each in self.subnets)


def needed(before: Digest, after: Digest) -> bool:
    """Tell whether the change of a network's table can have left stale flows: someone left, or a VIP came."""
    left = any(each not in after.alive for each in touched(before.alive, after.alive))
    return left or any(each not in before.virtual for each in touched(before.virtual, after.virtual))


def places(facts: Facts, network_ids: Collection[str]) -> list[str]:
    """The namespaces concerned by a change of the tables of `network_ids`."""
    return [each for each in (*facts.sandboxes, NODE) if of_place(facts, each, network_ids) is not None]


def of_place(facts: Facts, netns: str, network_ids: Collection[str]) -> Sweep | None:
    """The sweep of one namespace; None if there is nothing to look for.

    It must be asked for in the moment of sweeping: by what was known a little earlier, connections to endpoints that
    came since would look stale.
    """
    if netns == NODE:
        mesh = ingress_network(facts)
        if mesh is None or mesh.id not in network_ids:
            return None
        subnets = tuple(ip_network(each.cidr) for each in mesh.subnets)
        return Sweep(NODE, frozenset(), subnets, AnyOf(_alive(facts, mesh.id)))
    if (sandbox := facts.sandboxes.get(netns)) is None:
        return None
    concerned = {each.network.id for each in overlays(sandbox)} & set(network_ids)
    virtual = [found for each in concerned if (found := facts.known(each).virtual)]
    alive = [part for each in concerned for part in _alive(facts, each)]
    return Sweep(netns, AnyOf(virtual), (), AnyOf(alive)) if virtual else None


@dataclass(frozen=True, slots=True)
class AnyOf:
    """All that is in any of some mappings and sets, which are large and stay where they are."""

    parts: Sequence[Container[Any]]

    def __contains__(self, address: object) -> bool:
        """Tell whether one of them has the address."""
        return any(address in part for part in self.parts)


def _alive(facts: Facts, network_id: str) -> list[Container[str]]:
    digest = facts.known(network_id)
    here = (each.endpoint for _, each in facts.attachments(network_id))
    used = (each for each in here if not joins(digest.rows.get(each.id)))
    return [digest.alive, frozenset(ip for each in used for ip in each.addresses)]
