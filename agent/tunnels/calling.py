"""Who calls whom, and again when: so that two nodes which learn of each other shake hands at once. Pure.

WireGuard itself tries again only after five seconds, and two nodes that call each other in the same moment answer each
other in vain. But a node may hear of a peer's key before that has heard of its own, and then is not answered at all. So
the node with the lower tunnel address calls first, and soon again; the other one later, at other times. To call again
is to remove a peer that has never answered and to add it anew. After a while it is left to WireGuard.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from .state import Device

_FIRST_MS = (80, 250, 750, 1_750, 3_750)  # after the call when it was added; the answer may take that long
_SECOND_MS = (500, 1_250, 2_750)

Called = tuple[str, str]
"""A peer on a device: the device's name, the public key."""


@dataclass(slots=True)
class Calling:
    """The peers of a node that have not answered yet: since when each is there, and how often it was called again."""

    address: str
    since_ms: dict[Called, int] = field(default_factory=dict[Called, int])
    calls: dict[Called, int] = field(default_factory=dict[Called, int])

    def first(self, peer_address: str) -> bool:
        """Tell whether this node is the one of the two that calls first."""
        return IPv6Address(self.address) < IPv6Address(peer_address)

    def keeps_at_it(self, name: str, key: str, peer_address: str) -> bool:
        """Tell whether a peer that has not answered is to be called at all, yet."""
        return self.first(peer_address) or self.calls.get((name, key), 0) > 0

    def again(self, devices: Mapping[str, Device], now_ms: int) -> frozenset[Called]:
        """Say which peers are to be called again now."""
        waiting = {
            (name, key): peer.address
            for name, device in devices.items()
            for key, peer in device.peers.items()
            if not peer.answered and peer.address
        }
        self.since_ms = {each: self.since_ms.get(each, now_ms) for each in waiting}
        calls = {each: self._due(each, address, now_ms) for each, address in waiting.items()}
        again = frozenset(each for each, count in calls.items() if count > self.calls.get(each, 0))
        self.calls = calls
        return again

    def busy(self, now_ms: int) -> bool:
        """Tell whether there is a peer that is to be called again soon."""
        return any(now_ms - since < _FIRST_MS[-1] for since in self.since_ms.values())

    def _due(self, each: Called, address: str, now_ms: int) -> int:
        times = _FIRST_MS if self.first(address) else _SECOND_MS
        return sum(now_ms - self.since_ms[each] >= time for time in times)
