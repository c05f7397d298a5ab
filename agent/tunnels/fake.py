"""The fake make: tunnels in memory, and a node that can, or cannot, encrypt."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.audit.look import Look
from covey.errors import FailedPrecondition
from covey.model.objects import TunnelKey

from .seam import Encrypted, Tunnels


@dataclass(slots=True)
class FakeTunnels:
    """Remembers what it was asked. With `why`, this node cannot encrypt."""

    why: str = ""
    networks: dict[str, Encrypted] = field(default_factory=dict[str, Encrypted])
    public_keys: tuple[TunnelKey, ...] = ()
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False

    @property
    def address(self) -> str:
        """See `Tunnels.address`."""
        return "" if self.why else "fd00::1"

    async def use(self, network: Encrypted) -> None:
        """See `Tunnels.use`."""
        if self.why:
            raise FailedPrecondition(f"this node cannot encrypt: {self.why}")
        before = self.networks.get(network.network_id)
        if before is None or network.version >= before.version:
            self.networks[network.network_id] = network

    async def drop(self, network_id: str) -> None:
        """See `Tunnels.drop`."""
        self.networks.pop(network_id, None)

    async def reconcile(self, networks: Iterable[Encrypted]) -> None:
        """See `Tunnels.reconcile`."""
        self.networks = {} if self.why else {each.network_id: each for each in networks}

    async def keys(self, told: tuple[TunnelKey, ...] | None = None) -> tuple[TunnelKey, ...]:
        """See `Tunnels.keys`."""
        while self.public_keys == told:
            await self.changed.wait()
            self.changed.clear()
        return self.public_keys

    def remarks(self) -> tuple[str, ...]:
        """See `Tunnels.remarks`."""
        return (self.why,) if self.why else ()

    async def audit(self, *, repair: bool = False) -> Look:
        """See `Tunnels.audit`."""
        return Look(len(self.networks))

    async def close(self) -> None:
        """See `Tunnels.close`."""
        self.closed = True


_: type[Tunnels] = FakeTunnels
