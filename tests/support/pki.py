"""Certificates for tests of the wire: a cluster's authority, and nodes of every kind."""

import time

from covey.identity import (
    Identity,
    NodeIdentity,
    create_request,
    create_root,
    new_key,
    node_id_of,
    sign_request,
)
from covey.model.states import NodeRole

HOUR_NS = 3_600 * 1_000_000_000


class Authority:
    """One cluster's root, and certificates by it."""

    def __init__(self, cluster_id: str = "c" * 25) -> None:
        self.cluster_id = cluster_id
        self.root = create_root(cluster_id, time.time_ns())

    def node(self, role: NodeRole = NodeRole.WORKER, *, from_now_ns: int = 0) -> NodeIdentity:
        """A new node with a certificate that starts (but for backdating) `from_now_ns` from now."""
        key = new_key()
        request = create_request(key)
        identity = Identity(node_id_of(request), self.cluster_id, role)
        start_ns = time.time_ns() + from_now_ns
        certificate = sign_request(self.root, request, identity, start_ns, HOUR_NS)
        return NodeIdentity.of(key, certificate, self.root.certificate_pem)

    def expired(self, role: NodeRole = NodeRole.WORKER) -> NodeIdentity:
        """A node whose certificate ended an hour ago."""
        return self.node(role, from_now_ns=-2 * HOUR_NS)
