"""When nodes have taken a dead task out of their ways: read from the kernel's tables, a few hundred times a second."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.network import names
from agent.network.desired.addressing import mac
from agent.network.io import dump
from agent.network.io.nftables import readback
from agent.network.io.places import Places

_PAUSE_S = 0.003


@dataclass(frozen=True)
class Spot:
    """Where to look on a node: a task there that calls the service, and the namespace of the network."""

    node: str
    netns_dir: Path
    task_id: str
    network_id: str


class Watch(threading.Thread):
    """Looks at every spot in turn until a task is gone from all.

    `unled` is when each node led no new connection to it any more: when the chain of the service's virtual address
    was another; `gone` when its MAC address was in no table.
    """

    def __init__(self, spots: Sequence[Spot], virtual_ip: str, number: int) -> None:
        super().__init__(name="watch for a death", daemon=True)
        self._spots = spots
        self._chain = f"vip-{virtual_ip}"
        self._mac = mac(number)
        self._places = {spot.node: Places(spot.netns_dir) for spot in spots}
        self._before = {spot.node: self._digest(spot) for spot in spots}
        for spot in spots:
            assert self._way(spot), f"{spot.node} knows the way to who is to die"
        self.unled: dict[str, float] = {}
        self.gone: dict[str, float] = {}
        self._over = threading.Event()

    def run(self) -> None:
        """Look until there is nothing left to see."""
        while not self._over.is_set() and len(self.unled) + len(self.gone) < 2 * len(self._spots):
            for spot in self._spots:
                if spot.node not in self.unled and self._digest(spot) != self._before[spot.node]:
                    self.unled[spot.node] = time.monotonic()
                if spot.node not in self.gone and not self._way(spot):
                    self.gone[spot.node] = time.monotonic()
            self._over.wait(_PAUSE_S)

    def end(self, within_s: float) -> None:
        """Wait until all is seen."""
        self.join(within_s)
        self._over.set()
        self.join(10)
        blind = {spot.node for spot in self._spots} - (self.unled.keys() & self.gone.keys())
        assert not blind, f"after {within_s:g} s, {sorted(blind)} still lead to the dead"
        for places in self._places.values():
            places.close()

    def _digest(self, spot: Spot) -> str:
        tables = readback.tables(self._places[spot.node].filtering(spot.task_id), {names.VIP_TABLE})
        return tables[names.VIP_TABLE].chains.get(self._chain, "")

    def _way(self, spot: Spot) -> bool:
        """Whether the node's part of the network knows a way to the task: over VXLAN, or at a port of its bridge."""
        sandbox = names.sandbox(spot.network_id)
        channel = self._places[spot.node].routing(sandbox)
        links = dump.links(channel)
        by_index = {found.index: name for name, found in links.items()}
        forwards = dump.forwards(channel, by_index)
        return any(each == self._mac for _, each in (*forwards, *dump.statics(channel, by_index)))
