"""Who is let in, and as what. Pure: reads a draft, writes a node object, signs nothing."""

import hmac
from random import Random

from msgspec.structs import replace

from covey import limits
from covey.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, Unauthenticated
from covey.identity import Identity, JoinToken, make_token, parse_token
from covey.ids import new_id
from covey.model.objects import Cluster, Node, NodeDescription
from covey.model.specs import NodeSpec
from covey.model.states import Availability, NodeRole
from manager.store.draft import Draft
from manager.store.view import View


def the_cluster(view: View) -> Cluster:
    """Give the one cluster object; raises `FailedPrecondition` before there is one."""
    for cluster in view.all(Cluster):
        return cluster
    raise FailedPrecondition("this manager has no cluster yet; try again in a moment")


def join_token(cluster: Cluster, role: NodeRole) -> JoinToken:
    """Give the token with which hosts join in `role`. Its `str` is what people pass on."""
    secrets = cluster.join_secrets
    return make_token(cluster.root_ca.digest, secrets.manager if role is NodeRole.MANAGER else secrets.worker)


def rotate_token(cluster: Cluster, role: NodeRole, dice: Random) -> Cluster:
    """Give the cluster with a new secret for `role`, drawn from `dice`, which must be strong ones.

    Who has joined is not affected.
    """
    secret = new_id(dice)
    if role is NodeRole.MANAGER:
        return replace(cluster, join_secrets=replace(cluster.join_secrets, manager=secret))
    return replace(cluster, join_secrets=replace(cluster.join_secrets, worker=secret))


def role_of(cluster: Cluster, token_text: str) -> NodeRole:
    """Say which role a token gives; raises `InvalidArgument` or `Unauthenticated`, never with the secret."""
    token = parse_token(token_text)
    secrets = cluster.join_secrets
    given = token.secret.encode()
    digest_fits = hmac.compare_digest(token.digest.encode(), cluster.root_ca.digest.encode())
    is_worker = hmac.compare_digest(given, secrets.worker.encode())
    is_manager = hmac.compare_digest(given, secrets.manager.encode())
    if not digest_fits:
        raise Unauthenticated(f"the token is of another cluster than this one ({cluster.id})")
    if is_manager:
        return NodeRole.MANAGER
    if is_worker:
        return NodeRole.WORKER
    raise Unauthenticated("the token is wrong or was replaced since; ask a manager for the present one")


def admit(
    draft: Draft, token_text: str, node_id: str, hostname: str, availability: Availability
) -> tuple[Cluster, Identity]:
    """Let a host in: write its node object if it is new, and say what its certificate is to state.

    With a manager's token it is a manager at once; it has a part in the group once that lets it in
    (`manager.roles`). A host that has asked before and asks again is still what it was.
    """
    cluster = the_cluster(draft)
    role = role_of(cluster, token_text)
    if not hostname or len(hostname) > limits.hostname_length_chars_max or not hostname.isprintable():
        raise InvalidArgument(
            f"the node name {hostname[:80]!r} is not 1 to {limits.hostname_length_chars_max} "
            "printable characters; set --node-name"
        )
    known = draft.get(Node, node_id)
    if known is not None and known.role is not role:
        raise AlreadyExists(
            f"this host is node {node_id} of the cluster already, as a {known.role.name.lower()}; "
            "`covey leave` first"
        )
    if known is None:
        draft.put(
            Node(
                id=node_id,
                spec=NodeSpec(role=role, availability=availability),
                description=NodeDescription(hostname=hostname),
                role=role,
            )
        )
    return cluster, Identity(node_id, cluster.id, role)


def renewal(view: View, node_id: str) -> tuple[Cluster, Identity]:
    """Say what a node's next certificate is to state; raises `NotFound` once it has been removed."""
    cluster = the_cluster(view)
    node = view.get(Node, node_id)
    if node is None:
        raise NotFound(f"node {node_id} is no member of this cluster; it may have been removed")
    return cluster, Identity(node.id, cluster.id, node.role)
