"""The store over the log in etcd: the tests of the store itself, and what concerns this make alone."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from covey import limits
from covey.model.objects import Task
from manager.store.driver import Store
from manager.store.log.etcd import open_etcd
from manager.store.log.seam import Snapshot, Standing
from tests.support.etcd_server import Server, keys_of, open_leading, running
from tests.unit.store import test_store_driver as store_tests

pytestmark = pytest.mark.root

# What these look into is the fake's disk; below, or in the other files here, is what takes their place.
_OF_THE_FAKE = {
    "test_a_failed_log_stops_the_store_and_ends_its_watches",
    "test_a_store_can_be_started_from_a_snapshot_and_its_tail",
    "test_snapshots_are_made_by_themselves",
}
_tests = {name: test for name, test in vars(store_tests).items() if name.startswith("test_")}
assert _tests.keys() > _OF_THE_FAKE
globals().update({name: test for name, test in _tests.items() if name not in _OF_THE_FAKE})
_clusters = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as server:
        yield server


class Place:
    """Stands for the fake's disk: a cluster's keys."""

    def __init__(self) -> None:
        self.cluster_id = f"store{next(_clusters)}"


@pytest.fixture(autouse=True)
def in_etcd(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store's tests make logs in etcd where they make fakes."""

    class LaterLog:
        """Opened when it is first waited for: the tests make logs outside of any loop's time."""

        def __init__(self, place: Place | None = None) -> None:
            self._place = place or Place()
            self._log: Any = None

        async def newest_snapshot(self) -> Snapshot | None:
            if self._log is None:
                self._log = await open_leading(server.access(), self._place.cluster_id)
            return await self._log.newest_snapshot()  # type: ignore[no-any-return]

        def __getattr__(self, name: str) -> Any:
            return getattr(self._log, name)

    monkeypatch.setattr(store_tests, "FakeLog", LaterLog)
    monkeypatch.setattr(store_tests, "Disk", Place)


def indexes_below(keys: dict[bytes, bytes], what: bytes) -> list[int]:
    return sorted(int(key.split(b"/")[4]) for key in keys if key.split(b"/")[3] == what)


def test_snapshots_are_made_by_themselves(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "log_entries_between_snapshots", 10)
    monkeypatch.setattr(limits, "log_entries_kept_for_followers", 3)

    async def test() -> None:
        log = await open_leading(server.access(), "snap")
        async with store_tests.started(log) as store:
            for n in range(55):
                await store.commit(store_tests.create(store, Task(id=f"t{n}")))
            live = list(store.all(Task))
        keys = {key: b"" for key in await keys_of(server.access()) if key.startswith(b"/covey/snap/")}
        markers = indexes_below(keys, b"snapshots")
        assert len(markers) == limits.snapshots_kept
        assert indexes_below(keys, b"entry") == list(range(markers[0] + 1, 56))
        assert set(indexes_below(keys, b"snapshot")) == set(markers)
        async with store_tests.started(await open_leading(server.access(), "snap")) as store:
            assert (list(store.all(Task)), store.index) == (live, 55)

    store_tests.run(test())


def test_nothing_of_the_cluster_can_be_read_in_etcd(server: Server) -> None:
    async def test() -> None:
        log = await open_leading(server.access(), "sealed")
        async with store_tests.started(log) as store:
            await store.commit(store_tests.create(store, Task(id="t", service_id="s3cret")))
            await store.save_snapshot()
        found = await keys_of(server.access())
        mine = {key: value for key, value in found.items() if key.startswith(b"/covey/sealed/")}
        assert len(mine) >= 5
        assert not [key for key, value in mine.items() if b"s3cret" in value]

    store_tests.run(test())


def test_two_managers_hold_the_same_and_one_goes_on(server: Server) -> None:
    async def test() -> None:
        access = server.access()
        first = await Store.start(await open_leading(access, "two", "n1"))
        second = await Store.start(await open_etcd(access, "two", node_id="n2", address="n2:2377"))
        assert not second.standing.leads
        await asyncio.gather(*(first.commit(store_tests.create(first, Task(id=f"t{n}"))) for n in range(20)))
        assert await second.barrier() == first.index
        assert list(second.all(Task)) == list(first.all(Task))
        before = await standing_where(second, lambda standing: bool(standing.leader))
        assert (before.leader, before.address) == ("n1", "n1:2377")
        await first.close()
        standing = await standing_where(second, lambda standing: standing.leads)
        assert standing.term > before.term
        assert standing.since == second.index
        assert await second.commit(store_tests.create(second, Task(id="after"))) == 21
        await second.close()

    store_tests.run(test())


async def standing_where(store: Store, is_so: Callable[[Standing], bool]) -> Standing:
    """Wait for a standing: who leads is heard of apart from what they wrote."""
    standing = store.standing
    async with asyncio.timeout(30):
        while not is_so(standing):
            standing = await store.standing_after(standing)
    return standing
