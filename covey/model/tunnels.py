"""What managers and agents know alike of the tunnels of encrypted networks: their addresses, what a key is."""

import binascii
from base64 import b64decode
from hashlib import blake2b
from ipaddress import IPv6Address, IPv6Network

from covey.model.objects import TunnelKey

_KEY_BYTES = 32  # of Curve25519 (RFC 7748)
_GENERATIONS = 2  # of which a node has keys at a time


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


def wrong_with(keys: tuple[TunnelKey, ...]) -> str:
    """Say what is wrong with keys that a node has told, if anything: every other node gives them to its WireGuard."""
    if len({key.generation for key in keys}) < len(keys) or len(keys) > _GENERATIONS:
        return f"a node has tunnel keys of {_GENERATIONS} generations at most, one of each"
    for key in keys:
        if not 0 < key.port < 1 << 16:
            return f"{key.port} is no port of a tunnel"
        if not _is_key(key.public_key):
            return f"{key.public_key[:64]!r} is no public key of a tunnel, which has {_KEY_BYTES} bytes in base64"
    return ""


def _is_key(text: str) -> bool:
    try:
        return len(b64decode(text, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False
