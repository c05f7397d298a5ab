"""The fake make: networks in memory, with the same rules as the real ones and a switch to fail."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from agent.audit.look import Look
from covey.errors import CoveyError
from covey.io.netns import Process
from covey.model.audit import Finding
from covey.model.objects import Network
from covey.model.tables import NetworkTable

from .desired.facts import check
from .seam import NOBODY, Networks, Sandbox


@dataclass(slots=True)
class FakeNetworks:
    """Remembers what it was asked. `fail` maps a task or network id to the error its next call raises.

    `denied` are the networks that `reconcile` says the host denies; `connected` maps the pid of a container
    that has connections to what is set once the last one has ended. `found` are the processes it was told of last.
    """

    directory: str = "/fake/netns"
    networks: dict[str, Network] = field(default_factory=dict[str, Network])
    tables: dict[str, NetworkTable] = field(default_factory=dict[str, NetworkTable])
    sandboxes: dict[str, Sandbox] = field(default_factory=dict[str, Sandbox])
    fail: dict[str, CoveyError] = field(default_factory=dict[str, CoveyError])
    denied: frozenset[str] = frozenset()
    connected: dict[int, asyncio.Event] = field(default_factory=dict[int, asyncio.Event])
    closed: bool = False
    wrong: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    amiss: list[Finding] = field(default_factory=list[Finding])
    found: dict[str, Process] = field(default_factory=dict[str, Process])

    async def learn(self, network: Network) -> None:
        """See `Networks.learn`."""
        self._trip(network.id)
        self.networks[network.id] = network

    async def attach(self, sandbox: Sandbox) -> str:
        """See `Networks.attach`."""
        self._trip(sandbox.task_id)
        check(sandbox)
        for attachment in sandbox.attachments:
            self.networks[attachment.network.id] = attachment.network
        self.sandboxes[sandbox.task_id] = sandbox
        return f"{self.directory}/{sandbox.task_id}"

    async def detach(self, task_id: str) -> None:
        """See `Networks.detach`."""
        self._trip(task_id)
        self.sandboxes.pop(task_id, None)

    async def close_ports(self, task_id: str) -> None:
        """See `Networks.close_ports`."""
        self._trip(task_id)
        if task_id in self.sandboxes:
            self.sandboxes[task_id] = replace(self.sandboxes[task_id], host_ports=())

    async def quiet(self, pid: int) -> None:
        """See `Networks.quiet`."""
        if pid in self.connected:
            await self.connected[pid].wait()

    async def apply(self, table: NetworkTable) -> None:
        """See `Networks.apply`."""
        self._trip(table.network_id)
        self.tables[table.network_id] = table

    async def forget(self, network_id: str) -> None:
        """See `Networks.forget`."""
        self._trip(network_id)
        self.tables.pop(network_id, None)
        self.networks.pop(network_id, None)

    async def reconcile(
        self,
        networks: Iterable[Network],
        tables: Iterable[NetworkTable],
        sandboxes: Iterable[Sandbox],
        processes: Mapping[str, Process] = NOBODY,
    ) -> frozenset[str]:
        """See `Networks.reconcile`."""
        self.found = dict(processes)
        self.networks = {network.id: network for network in networks}
        self.tables = {table.network_id: table for table in tables}
        self.sandboxes = {sandbox.task_id: sandbox for sandbox in sandboxes}
        return self.denied

    def remarks(self) -> tuple[str, ...]:
        """See `Networks.remarks`."""
        return self.wrong

    def interfaces(self) -> tuple[str, ...]:
        """See `Networks.interfaces`."""
        return self.there

    async def audit(self, *, repair: bool = False, processes: Mapping[str, Process] = NOBODY) -> Look:
        """Give what was planted in `amiss`; a repair takes it away."""
        self.found = dict(processes)
        if repair:
            self.amiss.clear()
        return Look(len(self.sandboxes), tuple(self.amiss))

    async def close(self) -> None:
        """See `Networks.close`."""
        self.closed = True

    def _trip(self, key: str) -> None:
        error = self.fail.pop(key, None)
        if error is not None:
            raise error


_: type[Networks] = FakeNetworks
