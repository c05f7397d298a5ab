"""Peers that do not answer: a firewall between two nodes is the usual reason, and nothing else would show it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from covey import limits

from .state import State


@dataclass(slots=True)
class Silence:
    """Since when which peers, by their endpoints, have been waited for."""

    since_ms: dict[str, int] = field(default_factory=dict[str, int])

    def note(self, have: State, now_ms: int) -> None:
        """Take note of who has answered by now, in any generation."""
        peers = [peer for device in have.devices.values() for peer in device.peers.values()]
        heard = {peer.address for peer in peers if peer.answered}
        waiting = {peer.endpoint for peer in peers if peer.address not in heard}
        self.since_ms = {each: self.since_ms.get(each, now_ms) for each in sorted(waiting)}

    def remarks(self, now_ms: int) -> Iterator[str]:
        """Name those who have been waited for too long."""
        most_ms = limits.tunnel_silence_s * 1000
        silent = [each for each, since in self.since_ms.items() if now_ms - since >= most_ms]
        if silent:
            ports = f"{limits.tunnel_port} and {limits.tunnel_port + 1}"
            yield (
                f"no tunnel answers at {', '.join(silent[:5])}{' and others' if silent[5:] else ''}, so nothing of "
                f"encrypted networks gets there: are UDP ports {ports} open between all nodes?"
            )
