"""What the Raft core alone costs: processor time per entry of 1 KiB, on a leader and on a follower of three."""

import time
from collections.abc import Callable
from random import Random
from typing import TypeVar

from manager.raft.core import Raft
from manager.raft.entry import SnapshotMark, Stored
from manager.raft.messages import AnyMessage
from manager.raft.ready import Role
from tests.bench.figures import QUICK, Figure, show
from tests.support.raft_network import members

ENTRY = bytes(1024)
BATCHES = (1, 10, 100, 500)
ENTRIES = 4_000 if QUICK else 40_000

T = TypeVar("T")


class Ring:
    """Three cores whose messages arrive at once, and how long each has worked."""

    def __init__(self) -> None:
        start = SnapshotMark(0, 0, members(1, 2, 3))
        self.cores = {id: Raft(Stored(id, snapshot=start), Random(id)) for id in (1, 2, 3)}
        self.spent_s = dict.fromkeys(self.cores, 0.0)

    def timed(self, id: int, work: Callable[[], T]) -> T:
        started = time.perf_counter()
        try:
            return work()
        finally:
            self.spent_s[id] += time.perf_counter() - started

    def settle(self) -> None:
        busy = True
        while busy:
            busy = False
            for id, core in self.cores.items():
                while core.has_ready():
                    busy = True
                    for message in self.timed(id, lambda core=core: self.turn(core)):  # type: ignore[misc]
                        to = self.cores[message.to]
                        self.timed(message.to, lambda to=to, message=message: to.step(message))  # type: ignore[misc]

    def turn(self, core: Raft) -> list[AnyMessage]:
        ready = core.ready()
        core.advance()
        return [*ready.messages, *ready.replies]

    def elect(self) -> None:
        while self.cores[1].standing.role is not Role.LEADER:
            self.cores[1].tick()
            self.settle()

    def compact(self) -> None:
        for core in self.cores.values():
            mark = core.mark_at(core.log.handed)
            assert mark is not None
            core.compact(mark, 500)


def per_entry_us(batch: int) -> tuple[float, float]:
    """On the leader, and on a follower."""
    ring = Ring()
    ring.elect()
    ring.spent_s = dict.fromkeys(ring.cores, 0.0)
    datas = [ENTRY] * batch
    for turn in range(ENTRIES // batch):
        ring.timed(1, lambda: ring.cores[1].propose(datas))
        ring.settle()
        if turn % max(2_000 // batch, 1) == 0:
            ring.compact()
    return ring.spent_s[1] / ENTRIES * 1e6, ring.spent_s[2] / ENTRIES * 1e6


def test_what_an_entry_costs() -> None:
    figures = []
    for batch in BATCHES:
        leader, follower = per_entry_us(batch)
        figures.append(Figure(f"leader, {batch} proposed at once", [leader], "µs"))
        figures.append(Figure(f"follower, {batch} at once", [follower], "µs"))
    show("Raft core, per entry of 1 KiB", figures)
