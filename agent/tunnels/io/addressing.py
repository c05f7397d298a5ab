"""Keys and endpoints, as texts and as the kernel has them."""

import socket
import struct
from base64 import b64encode
from ipaddress import IPv4Address, ip_address

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey


def public_of(private_key: bytes) -> str:
    """The public part of a private key, base64; "" for the all-zero key that a device without one has."""
    if not any(private_key):
        return ""
    public = X25519PrivateKey.from_private_bytes(private_key).public_key()
    return b64encode(public.public_bytes_raw()).decode()


def sockaddr(endpoint: str) -> bytes:
    """`address:port` as a struct sockaddr_in or sockaddr_in6."""
    host, _, port = endpoint.rpartition(":")
    address = ip_address(host.strip("[]"))
    if isinstance(address, IPv4Address):
        return struct.pack("=H", socket.AF_INET) + struct.pack(">H", int(port)) + address.packed + bytes(8)
    return struct.pack("=H", socket.AF_INET6) + struct.pack(">HI", int(port), 0) + address.packed + bytes(4)


def endpoint_of(packed: bytes) -> str:
    """A struct sockaddr_in or sockaddr_in6 as text."""
    (family,) = struct.unpack_from("=H", packed)
    (port,) = struct.unpack_from(">H", packed, 2)
    if family == socket.AF_INET:
        return f"{socket.inet_ntoa(packed[4:8])}:{port}"
    return f"[{socket.inet_ntop(socket.AF_INET6, packed[8:24])}]:{port}"
