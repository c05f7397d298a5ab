"""Peers that do not answer: a firewall between two nodes is the usual reason, and nothing else would show it. Pure.

A peer that has never shaken hands is called all the time. One that has need not say anything; but what it is sent it
answers, with an empty packet after 10 s at the latest (https://www.wireguard.com/papers/wireguard.pdf, 6.5). Only empty
packets are not answered, and there is at most one of these after each packet that comes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from covey import limits

from .state import Peer, State

_EMPTY_BYTES = 32  # of a transport message without data
_MOST_MS = int(limits.tunnel_silence_s * 1000)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a peer had sent and been sent when it was last heard, and since when it was sent more than that."""

    received_bytes: int
    sent_bytes: int
    asked_ms: int | None = None

    def then(self, peer: Peer, now_ms: int) -> "Exchange":
        """What it is now."""
        if peer.received_bytes != self.received_bytes or peer.sent_bytes < self.sent_bytes:
            return Exchange(peer.received_bytes, peer.sent_bytes)
        if self.asked_ms is None and peer.sent_bytes - self.sent_bytes > _EMPTY_BYTES:
            return replace(self, asked_ms=now_ms)
        return self

    def goes_on(self, now_ms: int) -> bool:
        """Tell whether the peer answers, as far as can be seen."""
        return self.asked_ms is None or now_ms - self.asked_ms < _MOST_MS


@dataclass(slots=True)
class Silence:
    """Since when which peers, by their endpoints, have been waited for."""

    since_ms: dict[str, int] = field(default_factory=dict[str, int])
    exchanges: dict[tuple[str, str], Exchange] = field(default_factory=dict[tuple[str, str], Exchange])

    def note(self, have: State, now_ms: int) -> None:
        """Take note of who answers, in any generation."""
        peers = {
            (name, key): peer for name, device in have.devices.items() for key, peer in device.peers.items()
        }
        fresh = {each: Exchange(peer.received_bytes, peer.sent_bytes) for each, peer in peers.items()}
        self.exchanges = {
            each: self.exchanges.get(each, fresh[each]).then(peer, now_ms) for each, peer in peers.items()
        }
        heard = {
            peer.address
            for each, peer in peers.items()
            if peer.answered and self.exchanges[each].goes_on(now_ms)
        }
        waiting = {peer.endpoint for peer in peers.values() if peer.address not in heard}
        self.since_ms = {each: self.since_ms.get(each, now_ms) for each in sorted(waiting)}

    def remarks(self, now_ms: int) -> Iterator[str]:
        """Name those who have been waited for too long."""
        silent = [each for each, since in self.since_ms.items() if now_ms - since >= _MOST_MS]
        if silent:
            ports = f"{limits.tunnel_port} and {limits.tunnel_port + 1}"
            yield (
                f"no tunnel answers at {', '.join(silent[:5])}{' and others' if silent[5:] else ''}, so nothing of "
                f"encrypted networks gets there: are UDP ports {ports} open between all nodes?"
            )
