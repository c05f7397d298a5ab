"""The log in etcd: entries per second at 1, 10 and 100 in flight, beside what etcd itself takes."""

import asyncio
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import pytest

from covey.model.objects import Task
from manager.store.driver import Store
from manager.store.log.etcd.io.client import Etcd
from tests.support.etcd_server import Server, open_leading
from tests.unit.store.test_store_driver import create

pytestmark = pytest.mark.root
SECONDS = 3.0


async def commits(store: Store, in_flight: int) -> tuple[float, float, float]:
    """Commits per second, and the median and 99th percentile of one, in ms."""
    took: list[float] = []
    end = time.monotonic() + SECONDS
    data = "x" * 1024

    async def one(worker: int) -> None:
        count = 0
        while time.monotonic() < end:
            began = time.monotonic()
            await store.commit(create(store, Task(id=f"{in_flight}-{worker}-{count}", service_id=data)))
            took.append(time.monotonic() - began)
            count += 1

    await asyncio.gather(*(one(worker) for worker in range(in_flight)))
    took.sort()
    return len(took) / SECONDS, 1000 * median(took), 1000 * took[int(len(took) * 0.99)]


async def floor(server: Server) -> float:
    """Puts of the same size per second, one after another, without anything of ours."""
    etcd = Etcd(server.access())
    end, count = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        await etcd.txn([], [etcd.put(b"/floor", b"x" * 1024)])
        count += 1
    await etcd.close()
    return count / SECONDS


def test_commits_over_etcd() -> None:
    async def test(server: Server) -> None:
        print(f"\netcd alone, one put of 1 KiB after another: {await floor(server):,.0f}/s")
        store = await Store.start(await open_leading(server.access(), "bench"))
        try:
            for in_flight in (1, 10, 100):
                rate, middle, late = await commits(store, in_flight)
                print(
                    f"{in_flight:3} in flight: {rate:8,.0f} commits/s, p50 {middle:.1f} ms, p99 {late:.1f} ms"
                )
        finally:
            await store.close()

    with tempfile.TemporaryDirectory(prefix=f"covey-etcd-{os.getpid()}-") as directory:
        server = Server(Path(directory))
        try:
            server.start()
            asyncio.run(test(server))
        finally:
            server.kill()
