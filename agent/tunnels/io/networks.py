"""Networks over tunnels: what `agent.network` does, with tunnels under the encrypted ones before a packet can leave.

The tunnels of a network are there before its VXLAN device, and go after it.
"""

import logging
from collections.abc import Iterable, Mapping

from agent.audit.look import Look, together
from agent.network.desired.facts import encrypted
from agent.network.seam import NOBODY, Networks, Sandbox
from covey.errors import CoveyError
from covey.io.netns import Process
from covey.model.objects import Network
from covey.model.tables import NetworkTable

from ..seam import Encrypted, Tunnels
from .wireguard import Unguarded

_log = logging.getLogger(__name__)


class TunnelledNetworks:
    """See `Networks`: `networks`, whose encrypted ones go through `tunnels`."""

    def __init__(self, networks: Networks, tunnels: Tunnels) -> None:
        self._below = networks
        self._tunnels = tunnels
        self._networks: dict[str, Network] = {}
        self._tables: dict[str, NetworkTable] = {}

    async def learn(self, network: Network) -> None:
        """See `Networks.learn`."""
        self._networks[network.id] = network
        await self._prepare(network.id)
        await self._below.learn(network)

    async def attach(self, sandbox: Sandbox) -> str:
        """See `Networks.attach`."""
        for each in sandbox.attachments:
            self._networks.setdefault(each.network.id, each.network)
            await self._prepare(each.network.id)
        return await self._below.attach(sandbox)

    async def detach(self, task_id: str) -> None:
        """See `Networks.detach`."""
        await self._below.detach(task_id)

    async def close_ports(self, task_id: str) -> None:
        """See `Networks.close_ports`."""
        await self._below.close_ports(task_id)

    async def quiet(self, pid: int) -> None:
        """See `Networks.quiet`."""
        await self._below.quiet(pid)

    async def apply(self, table: NetworkTable) -> None:
        """See `Networks.apply`."""
        self._tables[table.network_id] = table
        await self._prepare(table.network_id)
        await self._below.apply(table)

    async def forget(self, network_id: str) -> None:
        """See `Networks.forget`."""
        await self._below.forget(network_id)
        self._networks.pop(network_id, None)
        self._tables.pop(network_id, None)
        await self._tunnels.drop(network_id)

    async def reconcile(
        self,
        networks: Iterable[Network],
        tables: Iterable[NetworkTable],
        sandboxes: Iterable[Sandbox],
        processes: Mapping[str, Process] = NOBODY,
    ) -> frozenset[str]:
        """See `Networks.reconcile`."""
        boxes = tuple(sandboxes)
        attached = {each.network.id: each.network for box in boxes for each in box.attachments}
        listed = {each.id: each for each in networks}
        self._networks = attached | listed
        self._tables = {each.network_id: each for each in tables}
        wanted = [found for id in self._networks if (found := self._encrypted(id)) is not None]
        if wanted:
            await self._begin(wanted)
        denied = await self._below.reconcile(listed.values(), self._tables.values(), boxes, processes)
        if not wanted:
            await self._begin(())
        return denied

    def remarks(self) -> tuple[str, ...]:
        """See `Networks.remarks`."""
        return (*self._below.remarks(), *self._tunnels.remarks())

    def interfaces(self) -> tuple[str, ...]:
        """See `Networks.interfaces`."""
        return self._below.interfaces()

    async def audit(self, *, repair: bool = False, processes: Mapping[str, Process] = NOBODY) -> Look:
        """See `Networks.audit`."""
        tunnels = await self._tunnels.audit(repair=repair)
        return together([tunnels, await self._below.audit(repair=repair, processes=processes)])

    async def close(self) -> None:
        """See `Networks.close`."""
        await self._below.close()
        await self._tunnels.close()

    def _encrypted(self, network_id: str) -> Encrypted | None:
        network = self._networks.get(network_id)
        if network is None or not network.vni or not encrypted(network) or not self._tunnels.address:
            return None  # where nothing can be encrypted, `agent.network` refuses what should be
        table = self._tables.get(network_id, NetworkTable())
        return Encrypted(network_id, network.vni, table.version, table.peers)

    async def _prepare(self, network_id: str) -> None:
        if (found := self._encrypted(network_id)) is not None:
            await self._tunnels.use(found)

    async def _begin(self, wanted: Iterable[Encrypted]) -> None:
        """Have tunnels as an agent begins. What cannot be had now is tried again; without a guard nothing is built."""
        try:
            await self._tunnels.reconcile(wanted)
        except Unguarded:
            raise
        except CoveyError as error:
            _log.error("tunnels are not as they should be yet: %s", error)


_: type[Networks] = TunnelledNetworks
