"""The addresses of nodes inside the tunnels of encrypted networks: managers and agents work them out alike."""

from hashlib import blake2b
from ipaddress import IPv6Address, IPv6Network


def tunnel_prefix(cluster_id: str) -> IPv6Network:
    """The cluster's own /48 of unique local addresses (RFC 4193): its 40 bits follow from the cluster's id."""
    own = blake2b(cluster_id.encode(), digest_size=5, person=b"covey tunnels").digest()
    return IPv6Network((b"\xfd" + own + bytes(10), 48))


def tunnel_address(cluster_id: str, node_id: str) -> str:
    """A node's address in there: 64 bits that follow from its id, so nobody has to give it one or to remember it.

    That two of 10,000 nodes have the same comes once in 10^11 clusters.
    """
    host = blake2b(node_id.encode(), digest_size=8, person=b"covey tunnels").digest()
    return str(IPv6Address(tunnel_prefix(cluster_id).network_address.packed[:8] + host))
