"""Who may join the Raft group, and by which single steps. Pure."""

import ipaddress
from collections.abc import Collection

from msgspec.structs import replace

from covey.errors import AlreadyExists, FailedPrecondition, InvalidArgument, PermissionDenied, Unavailable
from covey.model.objects import Node
from covey.model.states import NodeRole
from manager.raft.entry import Member, Membership
from manager.store.view import View

from . import quorum

RAFT_ID_MAX = 2**63 - 1


def check_caller(view: View, node_id: str) -> Node:
    """Give the node that asks to join, if it is to be a manager."""
    node = view.get(Node, node_id)
    if node is None:
        raise PermissionDenied(f"node {node_id} is no member of this cluster; it may have been removed")
    name = node.description.hostname or node.id
    if node.role is not NodeRole.MANAGER:
        raise PermissionDenied(f"node {name} is a worker; promote it first: covey node promote {name}")
    if node.spec.role is not NodeRole.MANAGER:
        raise FailedPrecondition(f"node {name} is being demoted; promote it again first")
    return node


def check_address(address: str) -> None:
    """Refuse what is no address another host could reach; raises `InvalidArgument`."""
    host, colon, port = address.rpartition(":")
    example = "such as 192.0.2.1:2377 or [2001:db8::1]:2377"
    try:
        ip = ipaddress.ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    except ValueError:
        raise InvalidArgument(
            f"address: {address[:80]!r} is not an IP address and a port, {example}"
        ) from None
    if not colon or not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 1 << 16):
        raise InvalidArgument(f"address: {address[:80]!r} has no port, {example}")
    if ip.is_unspecified or ip.is_multicast:
        raise InvalidArgument(
            f"address: {ip} is no host's; give one of this host that the other managers reach, with --advertise-addr"
        )


def check_unused(membership: Membership, node_id: str, address: str, answering: Collection[int]) -> None:
    """Refuse an address at which another manager answers."""
    for member in membership.members:
        if member.address == address and member.node_id != node_id and member.id in answering:
            raise FailedPrecondition(
                f"address: {address} is the one of manager {member.node_id}, which answers there; give this host's own"
            )


def check_id(membership: Membership, raft_id: int, node_id: str) -> None:
    """Refuse an id that was used up, or is somebody else's (thesis 4.1, and a copied disk).

    Raises `AlreadyExists`, by which the other side knows that it must begin anew.
    """
    if not 0 < raft_id <= RAFT_ID_MAX:
        raise InvalidArgument(f"raft_id: {raft_id} is no id of a member")
    if raft_id in membership.removed:
        raise AlreadyExists(
            f"member {raft_id} was removed from the group and cannot come back under this id, only with an empty log"
        )
    known = membership.get(raft_id)
    if known is not None and known.node_id != node_id:
        raise AlreadyExists(
            f"member {raft_id} is node {known.node_id}, not {node_id}: its disk was copied; the copy can join only with "
            "an empty log"
        )


def next_step(
    membership: Membership, candidate: Member, answering: Collection[int], own_id: int
) -> Membership | None:
    """Give the next single step by which `candidate` becomes a member at its address; None: it is one.

    A node that comes with a new id has lost its disk: the old id goes first, since nobody will ever answer
    for it again. Raises `Unavailable` if the group cannot let go of that now.
    """
    known = membership.get(candidate.id)
    if known is not None:
        if known.address == candidate.address:
            return None
        return quorum.with_member(membership, replace(known, address=candidate.address))
    for old in membership.members:
        if old.node_id == candidate.node_id:
            rest = set(answering) - {old.id}
            if old.id == own_id or not quorum.can_remove(membership, old.id, rest):
                raise Unavailable(
                    f"node {candidate.node_id} was member {old.id} before it lost its disk, and without that one "
                    "no majority of the managers answers; `covey cluster status` says who is missing"
                )
            return quorum.without(membership, old.id)
    return quorum.with_member(membership, replace(candidate, voter=False))
