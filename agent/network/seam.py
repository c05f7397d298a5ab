"""The seam to the network: what the agent asks for, and nothing of how it is done.

Makes: `driver.NetlinkNetworks` (kernel namespaces) and `fake.FakeNetworks` (memory, for tests).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from agent.audit.look import Look
from covey.errors import CoveyError
from covey.io.netns import Process
from covey.model.objects import Endpoint, Network
from covey.model.specs import PortConfig
from covey.model.tables import NetworkTable

NOBODY: Mapping[str, Process] = {}


class NetworkFault(CoveyError):
    """The host denied a step: the message names the step, the namespace, and what the kernel said.

    `vni` is that of the one network concerned if its VXLAN device could not be made, else 0.
    """

    def __init__(self, message: str, vni: int = 0) -> None:
        super().__init__(message)
        self.vni = vni


@dataclass(frozen=True, slots=True)
class Attachment:
    """One network a task is on, and the task's place there."""

    network: Network
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The whole network of one task: its attachments, in the order of its spec.

    The ingress attachment, if any, may stand anywhere: it is always built after the others.
    `host_ports` are the ports published in host mode: this node alone forwards them to this task.
    With `closed` there is nothing in it but loopback.
    """

    task_id: str
    attachments: tuple[Attachment, ...] = ()
    host_ports: tuple[PortConfig, ...] = ()
    closed: bool = False


class Networks(Protocol):
    """The networks of this node. Every method is idempotent; calls are carried out one after another.

    Errors: `Refused` kinds for what the caller must change (an endpoint without an address), `NetworkFault`
    for what the host denies (a missing kernel feature, a taken VNI). After a fault what was asked for does not hold, and
    the next call first reads back what is really there.
    """

    async def learn(self, network: Network) -> None:
        """Learn of a network, or that it changed. The ingress network is built from this and its table."""
        ...

    async def attach(self, sandbox: Sandbox) -> str:
        """Build the task's network namespace and return its path, to hand to the runtime."""
        ...

    async def detach(self, task_id: str) -> None:
        """Remove the task's namespace and everything that led to it."""
        ...

    async def close_ports(self, task_id: str) -> None:
        """Forward the task's host-mode ports no more, from now on; connections that are open go on.

        No error if it has none, or is not here.
        """
        ...

    async def quiet(self, pid: int) -> None:
        """Return once no inbound TCP connection is left in the network namespace of process `pid`.

        It may wait without end: the caller bounds it, and cancels it. At once if the process has ended.
        Unlike the others it holds up no other call.
        """
        ...

    async def apply(self, table: NetworkTable) -> None:
        """Put a network's newest table into force: forwarding, virtual addresses, published ports."""
        ...

    async def forget(self, network_id: str) -> None:
        """Forget the network and its table; tasks still on it keep their addresses and lose their peers."""
        ...

    async def reconcile(
        self,
        networks: Iterable[Network],
        tables: Iterable[NetworkTable],
        sandboxes: Iterable[Sandbox],
        processes: Mapping[str, Process] = NOBODY,
    ) -> frozenset[str]:
        """Make exactly these exist: take over what is right, build what lacks, remove the rest of ours.

        Returns the ids of networks that the host denies (a taken VNI). They and the tasks on them are set
        aside, the others built; `learn`, `attach` and `apply` for such a network ask the host again. Namespaces
        of tasks that are set aside stay, for containers may be in them. Also those whose tables the kernel does not
        take: they have none for now.

        `processes` are the first ones of tasks' containers: a namespace that lost its name is found through them.
        """
        ...

    def remarks(self) -> tuple[str, ...]:
        """Say what on this host stands in the networks' way, as far as it is known now: for people to read."""
        ...

    def interfaces(self) -> tuple[str, ...]:
        """Name the host's interfaces by which macvlan networks can go, as far as is known now."""
        ...

    async def audit(self, *, repair: bool = False, processes: Mapping[str, Process] = NOBODY) -> Look:
        """Read everything back and say what differs from what should be; with `repair`, make it so first.

        `processes` are as in `reconcile`.
        """
        ...

    async def close(self) -> None:
        """Let go of sockets and threads. Namespaces and traffic stay as they are."""
        ...
