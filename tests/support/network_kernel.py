"""The real driver of networks on the model of a kernel, which can fail and have VNIs taken."""

import errno
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as with_
from itertools import groupby
from pathlib import Path
from random import Random

import pytest

from agent.network import driver, ops
from agent.network.desired import whole
from agent.network.desired.memory import Memory
from agent.network.driver import NetlinkNetworks
from agent.network.io import sysctl
from agent.network.io.observe import Observed, Surroundings
from agent.network.io.places import Places
from agent.network.ops import Operation
from agent.network.seam import NetworkFault
from agent.network.settings import Settings
from agent.network.state import NODE
from tests.properties.test_network_plan import EMPTY_NODE, Kernel, settled

NODE_ID, VTEP = "n1", "192.0.2.1"


@dataclass
class Host:
    """What the driver finds: a kernel, and what is wrong with it. `failures` is how many plans fail yet,
    `refused` are VTEPs that it takes in no table, and `sockets_gone` says that no port can be claimed.
    """

    dice: Random = field(default_factory=lambda: Random(1))
    kernel: Kernel = field(default_factory=lambda: Kernel(EMPTY_NODE, set()))
    ipv6: bool = True
    interfaces: frozenset[str] = frozenset({"eth7"})
    taken: set[int] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    failures: int = 0
    sockets_gone: bool = False
    now_ms: int = 0
    swept: set[str] = field(default_factory=set)

    def carry_out(self, _places: Places, steps: Iterable[Operation]) -> None:
        """As `kernel.carry_out`: a batch goes on after one of its operations failed, and no other begins."""
        steps = list(steps)
        fails = set[int]()
        if self.failures and steps:
            self.failures -= 1
            fails = {self.dice.randrange(len(steps)) for _ in range(2)}
        batches = groupby(
            enumerate(steps), lambda each: (each[1].netns, isinstance(each[1], ops.ALONE) and each[0])
        )
        for _, batch in batches:
            wrong, vni = "", 0
            for place, step in batch:
                if isinstance(step, ops.CreateLink) and step.link.vxlan and step.link.vxlan.vni in self.taken:
                    wrong, vni = "its VNI is taken", step.link.vxlan.vni
                elif place in fails:
                    wrong = "no memory"
                elif isinstance(step, ops.SetForward) and step.vtep in self.refused:
                    wrong = "it never takes that"
                else:
                    wrong = self._step(step, wrong)
            if wrong:
                raise NetworkFault(wrong, vni)

    def _step(self, step: Operation, wrong: str) -> str:
        before = dict(self.kernel.node)
        try:
            self.kernel.step(step)
        except (AssertionError, KeyError):
            if not wrong:  # it is the plan that is wrong, then, and not the host
                raise
            self.kernel.node = before
        return wrong

    def observe(self, _places: Places) -> Observed:
        """As `observe.observe`."""
        return Observed(self.kernel.read(), tuple(sorted(self.kernel.broken)), ())

    def surroundings(self, _places: Places, _vtep: str) -> Surroundings:
        """As `observe.surroundings`."""
        return Surroundings(1500, self.ipv6, False, self.interfaces)

    def read(self, place: Path | None, paths: Collection[str]) -> dict[str, str]:
        """As `sysctl.read`."""
        known = self.kernel.node[place.name if place else NODE].sysctls
        return {path: known[path] for path in paths if path in known}

    def sweep(self, network_ids: Collection[str]) -> None:
        """As `Sweeper.sweep`."""
        self.swept |= set(network_ids)

    async def close(self) -> None:
        """There is nothing to close."""


@contextmanager
def networks(host: Host, *, keeps_client_address: bool = True) -> Iterator[NetlinkNetworks]:
    """The driver of a node whose kernel is `host`'s. It has not looked at anything yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "carry_out", host.carry_out)
        patch.setattr(driver, "observe", host.observe)
        patch.setattr(driver, "surroundings", host.surroundings)
        patch.setattr(driver, "interfaces", lambda _places: host.interfaces)
        patch.setattr(driver, "now_ms", lambda: host.now_ms)
        patch.setattr(sysctl, "read", host.read)
        patch.setattr(driver, "Sweeper", lambda *_: host)
        patch.setattr(driver, "HostPorts", lambda: _Ports(host))
        patch.setattr(driver, "Lookout", lambda *given: _Lookout(host, given[-1]))
        settings = Settings(Path("/nowhere/netns"), NODE_ID, VTEP, keeps_client_address=keeps_client_address)
        yield NetlinkNetworks(settings)


def check(host: Host, made: NetlinkNetworks) -> None:
    """The kernel holds what it should, by the facts alone and nothing that is remembered of them."""
    facts = made._current_facts()
    want = whole(with_(facts, memory=Memory()))
    aside = made._denials.tasks(made._sandboxes)
    have = {name: each for name, each in host.kernel.read().items() if name not in aside}
    assert settled(have, want) == settled(want, want)
    assert facts.others() == with_(facts, memory=Memory()).others()


@dataclass
class _Ports:
    """Ports of a host on which no program has any; a claim takes a socket."""

    host: Host
    remarks = ()

    def claim(self, keys: Iterable[str]) -> None:
        """Nobody has them."""

    def hold(self, forwarded: Iterable[str]) -> None:
        """Nobody has them."""
        if forwarded and self.host.sockets_gone:
            raise OSError(errno.EMFILE, "too many open files")

    def close(self) -> None:
        """There is nothing to close."""


@dataclass
class _Lookout:
    """Sees what interfaces there are, when it is told to look."""

    host: Host
    seen: Callable[[frozenset[str]], None]
    remarks = ()
    interfaces = ()

    def look(self) -> None:
        """Look once."""
        self.seen(self.host.interfaces)

    def start(self, in_turn: object) -> None:
        """It looks when a test says so."""

    def soon(self) -> None:
        """It looks when a test says so."""

    async def close(self) -> None:
        """There is nothing to close."""
