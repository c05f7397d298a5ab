"""Which keys a node has, from when until when. Pure: time and new keys come in.

There is at most one key of a generation, and at most two generations at a time: that of now, and the one before it
until nobody has used it for `limits.tunnel_overlap_s`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from covey import limits
from covey.model.objects import TunnelKey
from covey.model.tables import PeerRow

from . import names
from .state import State


@dataclass(frozen=True, slots=True)
class Key:
    """A key of this node's. The private part never leaves the node."""

    generation: int
    private_key: bytes = field(repr=False)
    public_key: str = ""

    @property
    def port(self) -> int:
        """The UDP port at which the node listens with it."""
        return limits.tunnel_port + self.generation % names.SLOTS

    def said(self) -> TunnelKey:
        """What others are told."""
        return TunnelKey(self.generation, self.public_key, self.port)


@dataclass(slots=True)
class Keeping:
    """The keys of one node, oldest first, and when somebody last used the older ones."""

    node_id: str
    keys: tuple[Key, ...] = ()
    used_ms: dict[str, int] = field(default_factory=dict[str, int])
    received: dict[str, int] = field(default_factory=dict[str, int])

    def lacks(self, rows: Iterable[PeerRow]) -> int | None:
        """The generation of which a key must be made now; None if there is one, or no tunnel at all."""
        wanted = generation(rows)
        if wanted is None or any(key.generation == wanted for key in self.keys):
            return None
        return wanted

    def add(self, key: Key) -> None:
        """Take up a new key. It takes the place of any that would need its device, or is not the one before."""
        older = [each for each in self.keys if each.generation < key.generation]
        last = [each for each in older[-1:] if (key.generation - each.generation) % names.SLOTS]
        self.keys = (*last, key)

    def retire(self, rows: Mapping[str, PeerRow], have: State, now_ms: int) -> bool:
        """Drop keys that nobody needs any more, as far as can be seen now; tells whether any went."""
        if not rows:
            gone, self.keys = self.keys, ()
            return bool(gone)
        kept = []
        for key in self.keys:
            newest = key is self.keys[-1]
            if newest or now_ms - self._last_used_ms(key, have, now_ms) < limits.tunnel_overlap_s * 1000:
                kept.append(key)
        gone, self.keys = self.keys, tuple(kept)
        self.used_ms = {
            key.public_key: self.used_ms[key.public_key] for key in kept if key.public_key in self.used_ms
        }
        return len(gone) > len(kept)

    def _last_used_ms(self, key: Key, have: State, now_ms: int) -> int:
        """When something last came in by a key, or one of our routes led over its device."""
        name = names.device(self.node_id, key.generation)
        device = have.devices.get(name)
        received = sum(peer.received_bytes for peer in device.peers.values()) if device is not None else 0
        used = name in have.routes.values() or received != self.received.get(key.public_key)
        if used or key.public_key not in self.used_ms:
            self.used_ms[key.public_key] = now_ms
        self.received[key.public_key] = received
        return self.used_ms[key.public_key]


def generation(rows: Iterable[PeerRow]) -> int | None:
    """The generation of now, as managers said it last; None if there are no rows."""
    return max((row.generation for row in rows), default=None)
