"""What WireGuard is told, and what is understood of what it says: of the kernel's make, and of wireguard-go's."""

import re
import socket
import struct
from base64 import b64encode
from pathlib import Path

import pytest

from agent.network.io.wire import attribute, attribute_list, attributes, nested
from agent.tunnels.io import kernel, keys, userspace
from agent.tunnels.io.addressing import endpoint_of, public_of, sockaddr
from agent.tunnels.plan import RemovePeer, SetPeer
from agent.tunnels.state import Peer

KEY = b64encode(bytes(range(32))).decode()
ADDRESS = "fd00::7"
HEADER = Path("/usr/include/linux/wireguard.h")


def inside(message: bytes) -> dict[int, bytes]:
    ((_, body),) = attribute_list(message)
    return attributes(body)


def test_a_new_peer_is_whole_in_the_kernels_message() -> None:
    said = inside(kernel.peer(SetPeer("d", KEY, "192.0.2.1:4793", ADDRESS, 1, new=True)))
    assert said[kernel.PEER_KEY] == bytes(range(32))
    assert said[kernel.PEER_FLAGS] == struct.pack("=I", kernel.REPLACE_ALLOWED)
    assert said[kernel.PEER_ENDPOINT] == struct.pack(
        "=H", socket.AF_INET
    ) + b"\x12\xb9\xc0\x00\x02\x01" + bytes(8)
    assert said[kernel.PEER_KEEPALIVE] == struct.pack("=H", 1)
    allowed = inside(said[kernel.PEER_ALLOWED])
    assert allowed[kernel.ALLOWED_FAMILY] == struct.pack("=H", socket.AF_INET6)
    assert allowed[kernel.ALLOWED_ADDRESS] == socket.inet_pton(socket.AF_INET6, ADDRESS)
    assert allowed[kernel.ALLOWED_PREFIX] == b"\x80"


def test_a_change_of_a_peer_touches_nothing_else() -> None:
    said = inside(kernel.peer(SetPeer("d", KEY, keepalive_s=0)))
    assert said[kernel.PEER_FLAGS] == struct.pack("=I", kernel.UPDATE_ONLY)
    assert said.keys() == {kernel.PEER_KEY, kernel.PEER_FLAGS, kernel.PEER_KEEPALIVE}
    gone = inside(kernel.peer(RemovePeer("d", KEY)))
    assert gone[kernel.PEER_FLAGS] == struct.pack("=I", kernel.REMOVE_ME)


def listed(key: bytes, handshake_s: int, *more: bytes) -> bytes:
    allowed = kernel.u16(kernel.ALLOWED_FAMILY, socket.AF_INET6)
    allowed += attribute(kernel.ALLOWED_ADDRESS, socket.inet_pton(socket.AF_INET6, ADDRESS))
    return nested(
        0,
        attribute(kernel.PEER_KEY, key),
        attribute(kernel.PEER_ENDPOINT, sockaddr("192.0.2.1:4793")),
        kernel.u16(kernel.PEER_KEEPALIVE, 1),
        attribute(kernel.PEER_HANDSHAKE, struct.pack("=qq", handshake_s, 0)),
        attribute(kernel.PEER_RECEIVED, struct.pack("=Q", 1234)),
        nested(kernel.PEER_ALLOWED, nested(0, allowed)),
        *more,
    )


def test_the_kernels_listing_may_come_in_pieces() -> None:
    own = keys.make(3)
    first = attribute(kernel.DEVICE_PRIVATE_KEY, own.private_key) + kernel.u16(kernel.DEVICE_PORT, 4794)
    first += nested(kernel.DEVICE_PEERS, listed(bytes(range(32)), 5))
    other = bytes(reversed(range(32)))
    rest = nested(0, attribute(kernel.PEER_KEY, bytes(range(32))))  # only the rest of its addresses
    second = nested(kernel.DEVICE_PEERS, rest, listed(other, 0))
    tuned = kernel.tuned([first, second])
    assert (tuned.public_key, tuned.port) == (own.public_key, 4794)
    assert tuned.peers[KEY] == Peer("192.0.2.1:4793", ADDRESS, 1, answered=True, received_bytes=1234)
    assert not tuned.peers[b64encode(other).decode()].answered


@pytest.mark.skipif(not HEADER.exists(), reason="the kernel's headers are not here")
def test_numbers_are_the_kernels() -> None:
    text = HEADER.read_text()

    def numbers(enum: str) -> dict[str, int]:
        body = re.search(rf"enum {enum} {{(.*?)}}", text, re.DOTALL)
        assert body is not None
        return {name: place for place, name in enumerate(re.findall(r"^\s*(WG\w+)", body[1], re.MULTILINE))}

    device, peer, allowed = (
        numbers("wgdevice_attribute"),
        numbers("wgpeer_attribute"),
        numbers("wgallowedip_attribute"),
    )
    ours = {
        "WGDEVICE_A_IFNAME": kernel.DEVICE_NAME,
        "WGDEVICE_A_PRIVATE_KEY": kernel.DEVICE_PRIVATE_KEY,
        "WGDEVICE_A_FLAGS": kernel.DEVICE_FLAGS,
        "WGDEVICE_A_LISTEN_PORT": kernel.DEVICE_PORT,
        "WGDEVICE_A_PEERS": kernel.DEVICE_PEERS,
        "WGPEER_A_PUBLIC_KEY": kernel.PEER_KEY,
        "WGPEER_A_FLAGS": kernel.PEER_FLAGS,
        "WGPEER_A_ENDPOINT": kernel.PEER_ENDPOINT,
        "WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL": kernel.PEER_KEEPALIVE,
        "WGPEER_A_LAST_HANDSHAKE_TIME": kernel.PEER_HANDSHAKE,
        "WGPEER_A_RX_BYTES": kernel.PEER_RECEIVED,
        "WGPEER_A_ALLOWEDIPS": kernel.PEER_ALLOWED,
        "WGALLOWEDIP_A_FAMILY": kernel.ALLOWED_FAMILY,
        "WGALLOWEDIP_A_IPADDR": kernel.ALLOWED_ADDRESS,
        "WGALLOWEDIP_A_CIDR_MASK": kernel.ALLOWED_PREFIX,
    }
    assert {name: (device | peer | allowed)[name] for name in ours} == ours


def test_wireguard_go_is_understood() -> None:
    own = keys.make(0)
    said = [
        ("private_key", own.private_key.hex()),
        ("listen_port", "4793"),
        ("public_key", bytes(range(32)).hex()),
        ("endpoint", "192.0.2.1:4793"),
        ("last_handshake_time_sec", "17"),
        ("rx_bytes", "1234"),
        ("persistent_keepalive_interval", "1"),
        ("allowed_ip", f"{ADDRESS}/128"),
        ("public_key", bytes(32).hex()),
        ("last_handshake_time_sec", "0"),
        ("errno", "0"),
    ]
    tuned = userspace.tuned(said)
    assert (tuned.public_key, tuned.port) == (own.public_key, 4793)
    assert tuned.peers[KEY] == Peer("192.0.2.1:4793", ADDRESS, 1, answered=True, received_bytes=1234)
    assert tuned.peers[b64encode(bytes(32)).decode()] == Peer("", "")


def test_a_device_without_a_key_says_so() -> None:
    assert userspace.tuned([("private_key", bytes(32).hex()), ("errno", "0")]).public_key == ""
    assert public_of(bytes(32)) == ""


@pytest.mark.parametrize("endpoint", ["192.0.2.1:4793", "[fd00::1]:4794"])
def test_endpoints_come_back_as_they_went(endpoint: str) -> None:
    assert endpoint_of(sockaddr(endpoint)) == endpoint
