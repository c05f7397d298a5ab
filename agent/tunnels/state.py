"""What stands of tunnels, as data: the same words for what is there and what should be."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer on a device. `endpoint` is `address:port`, `address` the tunnel address that it alone may speak from.

    With `keepalive_s` it is spoken to even if there is nothing to say. `answered` (it has shaken hands),
    `received_bytes` and `sent_bytes` are only read back, never wished for.
    """

    endpoint: str
    address: str
    keepalive_s: int = 0
    answered: bool = False
    received_bytes: int = 0
    sent_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Device:
    """A WireGuard device. `public_key` is empty while it has no key; peers are by public key.

    What is not `served` is only a link of this name: its process has ended, or it is of another make.
    """

    public_key: str
    port: int
    mtu: int
    up: bool = True
    addresses: frozenset[str] = frozenset()
    peers: Mapping[str, Peer] = field(default_factory=dict[str, Peer])
    served: bool = True


@dataclass(frozen=True, slots=True)
class Guard:
    """What the guard keeps apart: these devices and addresses, and the networks that go through tunnels only."""

    devices: tuple[str, ...]
    prefix: str
    vxlan_port: int
    vnis: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """The tunnels of one node: devices by name, the device that leads to each peer's address, the guard's digest."""

    devices: Mapping[str, Device] = field(default_factory=dict[str, Device])
    routes: Mapping[str, str] = field(default_factory=dict[str, str])
    guard: str = ""


NOTHING = State()
