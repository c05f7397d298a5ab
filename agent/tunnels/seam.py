"""The seam to the tunnels: what the agent asks for. Makes: `driver.NodeTunnels` and `fake.FakeTunnels`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from agent.audit.look import Look
from covey.model.objects import ClusterVersion, TunnelKey
from covey.model.tables import PeerRow

NO_TABLE = ClusterVersion()


@dataclass(frozen=True, slots=True)
class Encrypted:
    """An encrypted network with a task here: its VNI, the version of its table (none yet: zero), its peers."""

    network_id: str
    vni: int
    version: ClusterVersion = NO_TABLE
    peers: tuple[PeerRow, ...] = ()


class Tunnels(Protocol):
    """The tunnels of this node. Every method is idempotent; calls are carried out one after another.

    Errors: `FailedPrecondition` if this node cannot encrypt, `TunnelFault` (a `CoveyError`) for what the host denies.
    Whatever happens, nothing of an encrypted network leaves in plaintext.
    """

    @property
    def address(self) -> str:
        """This node's tunnel address, "" if it cannot encrypt."""
        ...

    async def use(self, network: Encrypted) -> None:
        """Have tunnels to a network's peers."""
        ...

    async def drop(self, network_id: str) -> None:
        """A network has left the node; fine if it was never here. With the last one, tunnels and keys go."""
        ...

    async def reconcile(self, networks: Iterable[Encrypted]) -> None:
        """Have exactly the tunnels for these networks, and none of what else is left of ours."""
        ...

    async def keys(self, told: tuple[TunnelKey, ...] | None = None) -> tuple[TunnelKey, ...]:
        """Give the public keys, the newest last: at once, or once they are other than `told`."""
        ...

    def remarks(self) -> tuple[str, ...]:
        """Say what is in the tunnels' way here."""
        ...

    async def audit(self, *, repair: bool = False) -> Look:
        """Read everything back and say what differs; with `repair`, make it right first."""
        ...

    async def close(self) -> None:
        """Let go; tunnels stay, and carry on."""
        ...
