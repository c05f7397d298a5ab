"""Networks that this host denies us, for now. Pure: the time comes in.

A VNI may be taken by somebody else's VXLAN device (Docker's, say). The network cannot be built then, but that
is no reason to leave the others alone: it is set aside with its tasks, and asked for again now and then.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from covey import limits
from covey.model.objects import Network

from .seam import NetworkFault, Sandbox


@dataclass(slots=True)
class Denials:
    """What the host said of each network that is set aside, and when it is to be asked again."""

    said: dict[str, str] = field(default_factory=dict[str, str])
    again_at_ms: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, network_id: str, text: str, now_ms: int) -> None:
        """Set a network aside."""
        self.said[network_id] = text
        self.again_at_ms[network_id] = now_ms + limits.denied_network_retry_ms

    def forget(self, network_id: str) -> None:
        """The network is gone, or is to be tried again."""
        self.said.pop(network_id, None)
        self.again_at_ms.pop(network_id, None)

    def ask_again(self, network_ids: Iterable[str], now_ms: int) -> bool:
        """Let networks that are set aside be tried again; tells whether there was any.

        Raises `NetworkFault` with what was said of one that was tried a moment ago: an attempt holds up all
        others.
        """
        denied = [each for each in network_ids if each in self.said]
        for each in denied:
            if now_ms < self.again_at_ms[each]:
                self.check([each])
        for each in denied:
            self.forget(each)
        return bool(denied)

    def check(self, network_ids: Iterable[str]) -> None:
        """Raise `NetworkFault` if one of the networks is set aside."""
        for each in network_ids:
            if each in self.said:
                raise NetworkFault(self.said[each])

    def tasks(self, sandboxes: Mapping[str, Sandbox]) -> set[str]:
        """The tasks on networks that are set aside. Containers may be in their namespaces: those are left alone."""
        if not self.said:
            return set()
        return {
            task_id
            for task_id, sandbox in sandboxes.items()
            if any(each.network.id in self.said for each in sandbox.attachments)
        }

    def with_vni(self, vni: int, networks: Iterable[Network]) -> str:
        """The network of this VNI, "" if there is none or it is set aside already."""
        known = (each.id for each in networks if vni and each.vni == vni)
        return next((each for each in known if each not in self.said), "")
