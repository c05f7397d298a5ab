"""How quick the managers' log is: processes of their own, real disks, real certificates; and what it stands on."""

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.figures import QUICK, Figure, rows, show
from tests.support.raft_ring import Failed, RaftProcess, RaftRing

ENTRY_BYTES = 1024
IN_FLIGHT = (1, 10, 100, 500)
COUNTS = {1: 600, 10: 6_000, 100: 20_000, 500: 30_000}


@contextmanager
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="covey-bench-raft-", dir="/var/lib"))  # a real disk
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def count_of(at_once: int) -> int:
    return COUNTS[at_once] // (5 if QUICK else 1)


def bare(directory: Path, batch: int, count: int) -> float:
    """Appends a second of sqlite with nothing around it, `batch` to a transaction."""
    db = sqlite3.connect(directory / f"bare{batch}.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=wal")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE entry (place INTEGER PRIMARY KEY, data BLOB)")
    payload = bytes(ENTRY_BYTES)
    started = time.perf_counter()
    for first in range(0, count, batch):
        db.execute("BEGIN")
        db.executemany("INSERT INTO entry VALUES (?, ?)", ((first + n, payload) for n in range(batch)))
        db.execute("COMMIT")
    elapsed = time.perf_counter() - started
    db.close()
    return count / elapsed


def test_raft_speed() -> None:
    with folder() as directory:
        floor = {n: bare(directory, n, count_of(n)) for n in IN_FLIGHT}
        lines = []
        for size in (3, 1):
            ring = RaftRing(directory, size)
            try:
                leader = ring.form()
                for at_once in IN_FLIGHT:
                    leader.ask("load", at_once=at_once, count=count_of(at_once) // 10, size=ENTRY_BYTES)
                    told = leader.ask("load", at_once=at_once, count=count_of(at_once), size=ENTRY_BYTES)
                    lines.append(
                        (
                            f"{size} members, {at_once} in flight",
                            f"{told['per_s']:,.0f}",
                            f"{told['p50_ms']:.2f}",
                            f"{told['p99_ms']:.2f}",
                            f"{told['cpu_us']:.0f}",
                            f"{floor[at_once]:,.0f}",
                            f"{told['per_s'] / floor[at_once]:.2f}",
                        )
                    )
            finally:
                ring.close()
                for each in ring.members:
                    shutil.rmtree(each.directory, ignore_errors=True)
        columns = (
            "entries of 1 KiB",
            "per s",
            "p50 ms",
            "p99 ms",
            "leader's CPU us",
            "bare sqlite per s",
            "ratio",
        )
        rows("The log of the managers", columns, lines)


def failovers(ring: RaftRing, count: int) -> list[float]:
    """Seconds from a leader's kill to the next entry committed, again and again."""
    took = []
    for _ in range(count):
        leader = ring.leader()
        leader.ask("propose", data="00")
        time.sleep(0.3)
        started = time.perf_counter()
        leader.kill()
        while not any(proposed(member) for member in ring.members if member.runs):
            time.sleep(0.005)
        took.append(time.perf_counter() - started)
        leader.start()
    return took


def proposed(member: RaftProcess) -> bool:
    try:
        member.ask("propose", data="01")
    except Failed:
        return False
    return True


def test_raft_failover() -> None:
    figures = []
    for size in (3, 5):
        with folder() as directory:
            ring = RaftRing(directory, size)
            try:
                ring.form()
                took = failovers(ring, 3 if QUICK else 10)
            finally:
                ring.close()
            figures.append(Figure(f"leader of {size} killed, to the next entry committed", took))
    show("The managers' log without its leader", figures)
