"""What a restored or forced new cluster holds, and that it is written once, wherever it is interrupted."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from covey.errors import Corrupt, FailedPrecondition
from covey.model import bootstrap, recovery
from covey.model.bootstrap import ClusterBootstrap, content_of
from covey.model.node_config import NodeConfig
from covey.model.objects import KINDS, Cluster, Network, Node, NodeDescription, Object, Task
from covey.model.recovery import RecoveryOrder
from covey.model.specs import NodeSpec
from covey.model.states import Availability, NodeRole
from manager.founding import Found, Join, Recover, Restart, start_mode
from manager.founding.content import batches, go_on_alone, raised, restored
from manager.founding.driver import write_content
from manager.store.draft import Draft
from manager.store.driver import Store
from manager.store.log.fake import Disk, FakeLog
from manager.store.tables import Tables
from tests.support.cluster_objects import change, two_nodes_one_service

M, W = NodeRole.MANAGER, NodeRole.WORKER
NOW_NS = 1_700_000_000_123_456_789


def manager(id: str, availability: Availability = Availability.ACTIVE) -> Node:
    spec = NodeSpec(role=M, availability=availability, labels={"a": id})
    return Node(id=id, role=M, spec=spec, description=NodeDescription(hostname=f"h-{id}"))


def with_managers() -> Tables:
    tables = two_nodes_one_service()
    change(tables, manager("m1"), manager("m2", Availability.DRAIN), manager("m3"))
    return tables


def everything(tables: Tables) -> list[Object]:
    return [item for by_id in tables.objects().values() for item in by_id.values()]


def by_id(objects: list[Object]) -> dict[str, Object]:
    return {f"{type(item).__name__} {item.id}": item for item in objects}


def test_an_epoch_always_rises() -> None:
    assert raised(1, NOW_NS) == 1_700_000_000
    assert raised(1_700_000_000, NOW_NS) == 1_700_000_001, "twice within a second"
    assert raised(1_700_000_000, 0) == 1_700_000_001, "on a host whose clock was lost"


def test_a_forced_new_cluster_has_one_manager_and_loses_nothing_else() -> None:
    tables = with_managers()
    before = by_id(everything(tables))
    draft = Draft(tables)
    assert go_on_alone(draft, "m2", 9)
    tables.commit(draft.transaction())
    cluster = tables.get(Cluster, "c")
    assert cluster is not None
    assert cluster.epoch == 9
    assert {node.id for node in tables.all(Node) if M in (node.role, node.spec.role)} == {"m2"}
    m2, m3 = tables.get(Node, "m2"), tables.get(Node, "m3")
    assert m2 is not None
    assert m3 is not None
    assert (m2.spec.availability, m3.spec.labels) == (Availability.DRAIN, {"a": "m3"})
    changed = {key for key, item in by_id(everything(tables)).items() if item != before[key]}
    assert changed == {"Cluster c", "Node m1", "Node m3"}
    again = Draft(tables)
    assert not go_on_alone(again, "m2", 9)
    assert not again.transaction()


@pytest.mark.parametrize(("node_id", "new"), [("fresh", True), ("m3", False)])
def test_a_restored_cluster_is_managed_by_this_machine(node_id: str, new: bool) -> None:
    tables = with_managers()
    cluster = tables.get(Cluster, "c")
    assert cluster is not None
    content = restored(cluster, everything(tables), node_id, "host", NOW_NS)
    assert content.cluster.epoch == 1_700_000_000
    nodes = {node.id: node for node in content.nodes}
    assert {id for id, node in nodes.items() if M in (node.role, node.spec.role)} == {node_id}
    assert (nodes[node_id].description.hostname == "host") is new
    assert set(nodes) - {node_id} == {"n1", "n2", "m1", "m2", "m3"} - {node_id}
    assert {item.meta.version for item in content.objects()} == {0}
    assert list(content.objects())[-1] is content.cluster, "whoever sees the cluster sees all of it"


def test_a_restored_object_keeps_its_age_and_all_else() -> None:
    tables = Tables()
    change(tables, Cluster(id="c"))
    draft = Draft(tables)
    draft.put(Task(id="t", service_id="s", slot=3))
    tables.commit(draft.transaction(), at_ns=42)
    cluster = tables.get(Cluster, "c")
    assert cluster is not None
    content = restored(cluster, everything(tables), "m", "host", NOW_NS)
    fresh = Tables()
    draft = Draft(fresh)
    for item in content.objects():
        draft.put(item)
    fresh.commit(draft.transaction(), at_ns=1000)
    task = fresh.get(Task, "t")
    assert task is not None
    assert (task.slot, task.meta.created_at_ns, task.meta.updated_at_ns) == (3, 42, 1000)


def test_content_has_a_place_for_every_kind() -> None:
    objects = [kind(id=kind.__name__) for kind in KINDS]
    content = content_of(Cluster(id="c"), objects)
    assert {type(item) for item in content.objects()} == set(KINDS)
    assert len(list(content.objects())) == len(KINDS)


def test_batches_fit_and_keep_the_order() -> None:
    objects = [Task(id=f"t{i}", service_id="s" * 500) for i in range(50)]
    cut = list(batches(objects, bytes_max=2_000))
    assert [item for batch in cut for item in batch] == objects
    assert 10 < len(cut) <= 50
    assert list(batches([])) == []
    huge = Task(id="t", service_id="s" * 5_000)
    assert [len(batch) for batch in batches([huge, huge], bytes_max=2_000)] == [1, 1]


# --- the files ------------------------------------------------------------------------------------


def config(tmp_path: Path, managers: tuple[str, ...] = ("192.0.2.2:2377",)) -> NodeConfig:
    (tmp_path / "manager").mkdir(exist_ok=True)
    return NodeConfig(
        state_dir=str(tmp_path), run_dir="/nowhere", node_id="m1", cluster_id="c", managers=managers
    )


def order_in(tmp_path: Path, **fields: object) -> None:
    made = RecoveryOrder(**{"cluster_id": "c", "node_id": "m1", "address": "192.0.2.1:2377", **fields})  # type: ignore[arg-type]
    recovery.path_in(tmp_path).write_bytes(recovery.encode(made))


def test_how_a_manager_begins(tmp_path: Path) -> None:
    settings = config(tmp_path)
    assert start_mode(settings, has_log=True) == Restart()
    assert start_mode(settings, has_log=False) == Join(("192.0.2.2:2377",))
    with pytest.raises(FailedPrecondition, match="knows no other manager"):
        start_mode(config(tmp_path, ()), has_log=False)
    order_in(tmp_path)
    mode = start_mode(settings, has_log=True)
    assert isinstance(mode, Recover)
    with pytest.raises(FailedPrecondition, match="no such state here"):
        start_mode(settings, has_log=False)
    order_in(tmp_path, node_id="m9")
    with pytest.raises(FailedPrecondition, match="orders node m9"):
        start_mode(settings, has_log=True)
    first = ClusterBootstrap(cluster=Cluster(id="c"))
    bootstrap.path_in(tmp_path).write_bytes(bootstrap.encode(first))
    for has_log in (True, False):
        assert start_mode(settings, has_log) == Found(first)
    bootstrap.path_in(tmp_path).write_bytes(bootstrap.encode(replace(first, cluster=Cluster(id="d"))))
    with pytest.raises(FailedPrecondition, match="cluster d"):
        start_mode(settings, has_log=False)


def test_both_forms_of_first_content_are_read(tmp_path: Path) -> None:
    path = bootstrap.path_in(tmp_path)
    path.parent.mkdir()
    for made in (
        ClusterBootstrap(cluster=Cluster(id="c"), node=Node(id="n"), ingress=Network(id="i")),
        content_of(Cluster(id="c"), [Node(id="n"), Task(id="t")]),
    ):
        path.write_bytes(bootstrap.encode(made))
        assert bootstrap.load(path) == made
    # Golden: what version 0.1.0 wrote.
    path.write_bytes(
        bytes.fromhex("83a7636c757374657281a26964a163a46e6f646581a26964a16ea7696e677265737381a26964a169")
    )
    assert bootstrap.load(path) == ClusterBootstrap(
        cluster=Cluster(id="c"), node=Node(id="n"), ingress=Network(id="i")
    )
    path.write_bytes(bootstrap.encode(replace(content_of(Cluster(id="c"), []), format=3)))
    with pytest.raises(Corrupt, match="format 3"):
        bootstrap.load(path)
    path.write_bytes(b"\x93nonsense")
    with pytest.raises(Corrupt, match="first content"):
        bootstrap.load(path)


def test_an_order_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = recovery.path_in(tmp_path)
    assert recovery.load(path) is None
    path.parent.mkdir()
    path.write_bytes(b"\x93nonsense")
    with pytest.raises(Corrupt, match="run `covey init --force-new-cluster` again"):
        recovery.load(path)


# --- through the store ----------------------------------------------------------------------------


def play(disk: Disk, story: Callable[[Store], Awaitable[None]]) -> None:
    async def run() -> None:
        store = await Store.start(FakeLog(disk))
        try:
            await story(store)
        finally:
            await store.close()

    asyncio.run(run())


class Interrupted(Exception):
    """The process was killed here."""


class Fragile:
    """A store that takes so many transactions and then is gone, before or after the last was written."""

    def __init__(self, store: Store, transactions: int, *, written: bool) -> None:
        self.store, self.left, self.written = store, transactions, written

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    async def update(self, change: Callable[[Draft], object]) -> object:
        self.left -= 1
        if not self.left and not self.written:
            raise Interrupted
        result = await self.store.update(change)
        if not self.left:
            raise Interrupted
        return result


def test_a_large_content_is_written_whole_wherever_it_is_interrupted(tmp_path: Path) -> None:
    settings = config(tmp_path)
    content = content_of(
        Cluster(id="c"), [manager("m1"), *(Task(id=f"t{i:05}", service_id="s" * 400) for i in range(15_000))]
    )
    needed = len(list(batches(content.objects())))
    assert needed >= 3
    disk = Disk()
    path = bootstrap.path_in(tmp_path)
    path.write_bytes(bootstrap.encode(content))

    async def attempt(store: Store, transactions: int, written: bool) -> None:
        fragile = Fragile(store, transactions, written=written)
        with pytest.raises(Interrupted):
            await write_content(fragile, tmp_path, start_mode(settings, has_log=True))  # type: ignore[arg-type]
        assert path.exists()

    for transactions in range(1, needed + 1):
        for written in (False, True):
            if transactions < needed or not written:
                play(disk, lambda store, n=transactions, w=written: attempt(store, n, w))  # type: ignore[misc]

    async def finish(store: Store) -> None:
        assert store.get(Cluster, "c") is None, "the cluster comes last"
        await write_content(store, tmp_path, start_mode(settings, has_log=True))
        assert not path.exists()
        assert sum(1 for _ in store.all(Task)) == 15_000
        index = store.index
        path.write_bytes(bootstrap.encode(content))
        await write_content(store, tmp_path, start_mode(settings, has_log=True))
        assert store.index == index, "a content that is there is not written again"

    play(disk, finish)


@pytest.mark.parametrize("written", [False, True])
def test_the_epoch_rises_once_per_order_wherever_it_is_interrupted(tmp_path: Path, written: bool) -> None:
    settings = config(tmp_path)
    disk = Disk()
    order_in(tmp_path)

    async def fill(store: Store) -> None:
        def write(draft: Draft) -> None:
            for item in (Cluster(id="c"), manager("m1"), manager("m2")):
                draft.put(item)

        await store.update(write)

    async def attempt(store: Store) -> None:
        fragile = Fragile(store, 1, written=written)
        with pytest.raises(Interrupted):
            await write_content(fragile, tmp_path, start_mode(settings, has_log=True))  # type: ignore[arg-type]

    async def finish(store: Store) -> None:
        mode = start_mode(settings, has_log=True)
        assert isinstance(mode, Recover)
        assert mode.order.epoch > 1, "settled before it was raised"
        await write_content(store, tmp_path, mode)
        cluster, m2 = store.get(Cluster, "c"), store.get(Node, "m2")
        assert cluster is not None
        assert m2 is not None
        assert (cluster.epoch, m2.role, m2.spec.role) == (mode.order.epoch, W, W)
        assert not recovery.path_in(tmp_path).exists()
        await store.update(lambda draft: draft.put(replace(m2, role=M, spec=replace(m2.spec, role=M))))
        index = store.index
        await write_content(store, tmp_path, mode)
        assert store.index == index, "a manager that leads again long after does not go on alone again"

    for story in (fill, attempt, finish):
        play(disk, story)


def test_an_order_without_any_state_says_what_else_to_do(tmp_path: Path) -> None:
    settings = config(tmp_path)
    order_in(tmp_path)

    async def story(store: Store) -> None:
        with pytest.raises(FailedPrecondition, match="another manager, or restore a backup"):
            await write_content(store, tmp_path, start_mode(settings, has_log=True))

    play(Disk(), story)
