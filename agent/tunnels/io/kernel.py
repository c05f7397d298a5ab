"""WireGuard by the kernel: links of the kind `wireguard`, set and read over generic netlink (linux/wireguard.h)."""

import errno
import os
import socket
import struct
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterable
from ipaddress import ip_address

from agent.network.io import rtnetlink as rt
from agent.network.io.wire import (
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REQUEST,
    Channel,
    Failure,
    Message,
    attribute,
    attribute_list,
    attributes,
    nested,
    text,
    u8,
    u32,
)

from ..plan import RemovePeer, SetPeer
from ..state import Peer
from .addressing import endpoint_of, public_of, sockaddr
from .wireguard import Tuned, TunnelFault

KIND = "wireguard"
_NETLINK_GENERIC = 16
_CONTROL, _GETFAMILY, _FAMILY_ID, _FAMILY_NAME = 16, 3, 1, 2
_GENERIC = struct.Struct("=BBxx")
_GET_DEVICE, _SET_DEVICE, _VERSION = 0, 1, 1

DEVICE_NAME, DEVICE_PRIVATE_KEY, DEVICE_FLAGS, DEVICE_PORT, DEVICE_PEERS = 2, 3, 5, 6, 8
REPLACE_PEERS = 1
PEER_KEY, PEER_FLAGS, PEER_ENDPOINT, PEER_KEEPALIVE, PEER_HANDSHAKE = 1, 3, 4, 5, 6
PEER_RECEIVED, PEER_SENT, PEER_ALLOWED = 7, 8, 9
REMOVE_ME, REPLACE_ALLOWED, UPDATE_ONLY = 1, 2, 4
ALLOWED_FAMILY, ALLOWED_ADDRESS, ALLOWED_PREFIX = 1, 2, 3
_PEERS_PER_MESSAGE = 200  # an attribute has at most 64 KiB


class Kernel:
    """The kernel's devices in the namespace of the calling process, or of the thread that uses this first."""

    kind = "kernel"

    def __init__(self) -> None:
        self._generic: Channel | None = None
        self._family = 0

    def create(self, name: str) -> None:
        """See `WireGuard.create`."""
        info = nested(rt.IFLA_LINKINFO, text(rt.IFLA_INFO_KIND, KIND))
        body = rt.IFINFO.pack(0, 0, 0, 0, 0) + text(rt.IFLA_IFNAME, name) + info
        flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL
        self.remove(name)
        _check(_routing([Message(rt.RTM_NEWLINK, flags, body)]), name)

    def remove(self, name: str) -> None:
        """See `WireGuard.remove`."""
        failures = _routing([rt.remove_link(name)])
        _check([each for each in failures if each.number != errno.ENODEV], name)

    def read(self, name: str) -> Tuned | None:
        """See `WireGuard.read`."""
        try:
            channel = self._channel()
            answers = channel.dump(
                Message(self._family, 0, _GENERIC.pack(_GET_DEVICE, _VERSION) + text(DEVICE_NAME, name))
            )
        except OSError:
            return None  # no such device, or of another kind, or no WireGuard here
        if not answers:
            return None
        return tuned(body[_GENERIC.size :] for _, body in answers)

    def set_key(self, name: str, private_key: bytes, port: int) -> None:
        """See `WireGuard.set_key`."""
        self._set(
            name,
            attribute(DEVICE_PRIVATE_KEY, private_key)
            + u16(DEVICE_PORT, port)
            + u32(DEVICE_FLAGS, REPLACE_PEERS),
        )

    def set_peers(self, name: str, steps: Iterable[SetPeer | RemovePeer]) -> None:
        """See `WireGuard.set_peers`."""
        packed = [peer(step) for step in steps]
        for first in range(0, len(packed), _PEERS_PER_MESSAGE):
            self._set(name, nested(DEVICE_PEERS, *packed[first : first + _PEERS_PER_MESSAGE]))

    def tend(self, name: str) -> None:
        """See `WireGuard.tend`: nothing."""

    def close(self) -> None:
        """See `WireGuard.close`."""
        if self._generic is not None:
            self._generic.close()
            self._generic = None

    def _set(self, name: str, body: bytes) -> None:
        channel = self._channel()
        said = _GENERIC.pack(_SET_DEVICE, _VERSION) + text(DEVICE_NAME, name) + body
        _check(channel.batch([Message(self._family, NLM_F_REQUEST | NLM_F_ACK, said)]), name)

    def _channel(self) -> Channel:
        """The socket, once the kernel has said which number WireGuard has; OSError (ENOENT) if it has none."""
        if self._generic is None:
            channel = Channel(_NETLINK_GENERIC)
            try:
                asked = _GENERIC.pack(_GETFAMILY, 1) + text(_FAMILY_NAME, KIND)
                answer = channel.ask(Message(_CONTROL, 0, asked))
                found = attributes(answer[_GENERIC.size :])[_FAMILY_ID]
            except BaseException:
                channel.close()
                raise
            self._family = int.from_bytes(found, sys.byteorder)
            self._generic = channel
        return self._generic


def u16(kind: int, value: int) -> bytes:
    """An attribute that holds 16 bits in the machine's own order."""
    return attribute(kind, struct.pack("=H", value))


def peer(step: SetPeer | RemovePeer) -> bytes:
    """One element of a device's peers, to be set or removed."""
    key = attribute(PEER_KEY, b64decode(step.public_key))
    if isinstance(step, RemovePeer):
        return nested(0, key, u32(PEER_FLAGS, REMOVE_ME))
    parts = [key]
    flags = (0 if step.new else UPDATE_ONLY) | (REPLACE_ALLOWED if step.address else 0)
    parts.append(u32(PEER_FLAGS, flags))
    if step.endpoint:
        parts.append(attribute(PEER_ENDPOINT, sockaddr(step.endpoint)))
    if step.keepalive_s is not None:
        parts.append(u16(PEER_KEEPALIVE, step.keepalive_s))
    if step.address:
        allowed = u16(ALLOWED_FAMILY, socket.AF_INET6)
        allowed += attribute(ALLOWED_ADDRESS, ip_address(step.address).packed) + u8(ALLOWED_PREFIX, 128)
        parts.append(nested(PEER_ALLOWED, nested(0, allowed)))
    return nested(0, *parts)


def tuned(answers: Iterable[bytes]) -> Tuned:
    """A device as read: a listing of several messages, of which each may go on with the last one's peer."""
    public_key, port = "", 0
    peers: dict[str, Peer] = {}
    for answer in answers:
        for kind, value in attribute_list(answer):
            if kind == DEVICE_PRIVATE_KEY:
                public_key = public_of(value)
            elif kind == DEVICE_PORT:
                port = int.from_bytes(value, sys.byteorder)
            elif kind == DEVICE_PEERS:
                for _, each in attribute_list(value):
                    found = attributes(each)
                    if PEER_KEEPALIVE in found:  # else only more addresses of the one before: ours have one
                        peers[b64encode(found[PEER_KEY]).decode()] = _peer_of(found)
    return Tuned(public_key, port, peers)


def _peer_of(found: dict[int, bytes]) -> Peer:
    addresses = [attributes(each) for _, each in attribute_list(found.get(PEER_ALLOWED, b""))]
    own = [each[ALLOWED_ADDRESS] for each in addresses if len(each.get(ALLOWED_ADDRESS, b"")) == 16]
    return Peer(
        endpoint_of(found[PEER_ENDPOINT]) if PEER_ENDPOINT in found else "",
        socket.inet_ntop(socket.AF_INET6, own[0]) if own else "",
        int.from_bytes(found[PEER_KEEPALIVE], sys.byteorder),
        answered=any(found.get(PEER_HANDSHAKE, b"")),
        received_bytes=int.from_bytes(found.get(PEER_RECEIVED, b""), sys.byteorder),
        sent_bytes=int.from_bytes(found.get(PEER_SENT, b""), sys.byteorder),
    )


def _routing(messages: list[Message]) -> list[Failure]:
    with Channel(socket.NETLINK_ROUTE) as channel:
        return channel.batch(messages)


def _check(failures: list[Failure], name: str) -> None:
    for failure in failures:
        words = str(failure)
        if failure.number == errno.EADDRINUSE:
            words = "its UDP port is taken"
        raise TunnelFault(
            f"the kernel denies the WireGuard device {name}: {words} (error {os.strerror(failure.number)})"
        )
