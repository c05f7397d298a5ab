"""What both makes of WireGuard can do: the kernel's devices, and those of wireguard-go."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from covey.errors import CoveyError

from ..plan import RemovePeer, SetPeer
from ..state import Peer


class TunnelFault(CoveyError):
    """This host denied a step: the message names the device and what was said."""


class Unguarded(TunnelFault):
    """The guard may not be in place: nothing of an encrypted network may be built."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """How a device is set: its public key ("" while it has none), its port, its peers by public key."""

    public_key: str
    port: int
    peers: Mapping[str, Peer]


class WireGuard(Protocol):
    """A make of WireGuard. Errors are `TunnelFault` or OSError."""

    kind: str

    def create(self, name: str) -> None:
        """Make a device without key and peers, down."""
        ...

    def remove(self, name: str) -> None:
        """Remove a device and all that serves it; fine if there is none."""
        ...

    def read(self, name: str) -> Tuned | None:
        """Read how a device is set; None if nothing serves it, so that it must be made anew."""
        ...

    def set_key(self, name: str, private_key: bytes, port: int) -> None:
        """Give a device its key and port, and take all its peers."""
        ...

    def set_peers(self, name: str, steps: Iterable[SetPeer | RemovePeer]) -> None:
        """Make, change and remove peers, in this order."""
        ...

    def tend(self, name: str) -> None:
        """See to what a device's packets need but its settings do not say; cheap if it is as it should be."""
        ...

    def close(self) -> None:
        """Let go of sockets; devices stay."""
        ...
