"""Several managers on one etcd, over a network that loses requests and answers, and delivers some of them late."""

import asyncio
import contextlib
import itertools
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from covey import errors, limits
from covey.errors import CoveyError, Interrupted, Unavailable
from covey.model.store_access import StoreAccess
from manager.store.log.etcd import EtcdLog
from manager.store.log.etcd.io.client import Etcd
from manager.store.log.etcd.layout import Head, Layout, Who
from manager.store.log.etcd.sealing import Sealing
from manager.store.log.seam import Record
from tests.support.etcd_server import KEY, Server, running
from tests.unit.store.test_log_contract import run

pytestmark = pytest.mark.root


class LossyEtcd(Etcd):
    """Loses requests and answers to transactions at random, and sends some again when nobody expects it."""

    def __init__(self, access: StoreAccess, dice: Random) -> None:
        super().__init__(access)
        self._dice = dice
        self.calm = False
        self.late: set[asyncio.Task[Any]] = set()

    async def call(self, service: str, method: str, request: Any, timeout_s: float = 2.0) -> Any:
        if self.calm or method != "Txn":
            return await super().call(service, method, request, timeout_s)
        fate = self._dice.random()
        if fate < 0.1:
            raise Interrupted("the request was lost (injected)")
        if fate < 0.2:
            self.late.add(asyncio.create_task(self._send_late(service, method, request)))
            raise Interrupted("the request was held up (injected)")
        answer = await super().call(service, method, request, timeout_s)
        if fate < 0.3:
            raise Interrupted("the answer was lost (injected)")
        return answer

    async def _send_late(self, service: str, method: str, request: Any) -> None:
        await asyncio.sleep(self._dice.random() * 0.5)
        with contextlib.suppress(CoveyError):
            await super().call(service, method, request)


class Manager:
    """A log, what it acknowledged, and what its reader was given."""

    def __init__(self, server: Server, cluster_id: str, name: str, dice: Random) -> None:
        keys = Layout("/covey", cluster_id)
        self.name, self._dice = name, dice
        self.etcd = LossyEtcd(server.access(), dice)
        self.log = EtcdLog(self.etcd, keys, Sealing(KEY, keys), Who(name, f"{name}:2377"), Head())
        self.acknowledged: list[bytes] = []
        self.records: list[Record] = []
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for news in self.log.records(0):
            assert isinstance(news, list)
            self.records.extend(news)

    async def write(self, numbers: "itertools.count[int]", until_s: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until_s:
            data = b"%s %d" % (self.name.encode(), next(numbers))
            if self._dice.random() < 0.05:
                data += b"x" * (2 * limits.etcd_value_bytes_max)
            try:
                await self.log.append([data])
                self.acknowledged.append(data)
            except errors.NotLeader:
                await asyncio.sleep(0.02)
            except Unavailable:
                pass  # nobody knows
            if self._dice.random() < 0.02:
                self.log.session.resign()

    async def close(self) -> None:
        await self.log.close()
        await self.reading
        for late in self.etcd.late:
            late.cancel()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.mark.parametrize("seed", range(3))
def test_managers_agree_on_one_order_with_nothing_lost_and_nothing_twice(server: Server, seed: int) -> None:
    async def test() -> None:
        dice, numbers = Random(seed), itertools.count()
        managers = [Manager(server, f"chaos{seed}", f"n{n}", dice) for n in range(3)]
        until_s = asyncio.get_running_loop().time() + 8
        await asyncio.gather(*(manager.write(numbers, until_s) for manager in managers for _ in range(4)))
        for manager in managers:
            manager.etcd.calm = True
        await asyncio.sleep(1.0)  # what was held up arrives
        index = await managers[0].log.confirm()
        async with asyncio.timeout(20):
            while any(not each.records or each.records[-1].index < index for each in managers):
                await asyncio.sleep(0.02)
        first = managers[0].records
        for manager in managers:
            assert manager.records == first
        datas = [record.data for record in first]
        assert len(datas) == len(set(datas)), "written twice"
        for manager in managers:
            assert set(manager.acknowledged) <= set(datas)
        acknowledged = sum(len(manager.acknowledged) for manager in managers)
        terms = len({manager.log.session.term for manager in managers})
        assert acknowledged > 20
        assert terms == 1
        print(f"seed {seed}: {acknowledged} acknowledged of {len(datas)}, {index} keys")
        for manager in managers:
            await manager.close()

    run(test())
