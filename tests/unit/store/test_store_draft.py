import pytest
from msgspec.structs import replace

from covey import errors
from covey.model.objects import Endpoint, Network, Node, Service, Task, TaskStatus
from covey.model.specs import NetworkSpec
from covey.model.states import TaskState
from manager.store.draft import Draft
from manager.store.tables import Tables
from manager.store.transaction import Change, Expect, Key, Transaction
from manager.store.view import BY_NAME, BY_NETWORK, BY_NODE, BY_SERVICE, BY_STATE


def with_objects(*objects: Service | Task | Node | Network | Endpoint) -> Tables:
    tables = Tables()
    draft = Draft(tables)
    for obj in objects:
        draft.put(obj)
    tables.commit(draft.transaction(), at_ns=7)
    return tables


def test_a_commit_sets_version_and_times() -> None:
    tables = with_objects(Task(id="t1"))
    task = tables.get(Task, "t1")
    assert task is not None
    assert (task.meta.version, task.meta.created_at_ns, task.meta.updated_at_ns) == (1, 7, 7)
    commit = tables.commit(_put(tables, replace(task, node_id="n1")), at_ns=9)
    changed = tables.get(Task, "t1")
    assert commit.changes == (Change(Task, task, changed),)
    assert changed is not None
    assert (changed.meta.version, changed.meta.created_at_ns, changed.meta.updated_at_ns) == (2, 7, 9)


def test_a_draft_reads_its_own_writes_and_the_base_stays() -> None:
    tables = with_objects(
        Task(id="b", service_id="s"), Task(id="c", service_id="s"), Task(id="x", service_id="z")
    )
    draft = Draft(tables)
    draft.put(Task(id="a", service_id="s"))
    moved = tables.get(Task, "b")
    assert moved is not None
    draft.put(replace(moved, service_id="z"))
    draft.delete(Task, "c")
    assert [task.id for task in draft.all(Task)] == ["a", "b", "x"]
    assert [task.id for task in draft.find(Task, BY_SERVICE, "s")] == ["a"]
    assert [task.id for task in draft.find(Task, BY_SERVICE, "z")] == ["b", "x"]
    assert draft.get(Task, "c") is None
    assert [task.id for task in tables.find(Task, BY_SERVICE, "s")] == ["b", "c"]


def test_a_transaction_names_the_versions_read() -> None:
    tables = with_objects(Task(id="t1"), Task(id="t2"))
    draft = Draft(tables)
    task = tables.get(Task, "t1")
    assert task is not None
    draft.put(replace(task, node_id="n"))
    draft.delete(Task, "t2")
    draft.put(Task(id="t3"))
    transaction = draft.transaction()
    assert set(transaction.expect) == {Expect(Task, "t1", 1), Expect(Task, "t2", 1), Expect(Task, "t3", 0)}
    assert transaction.delete == (Key(Task, "t2"),)


def test_what_changes_nothing_leaves_an_empty_transaction() -> None:
    tables = with_objects(Task(id="t1", node_id="n1"))
    draft = Draft(tables)
    task = tables.get(Task, "t1")
    assert task is not None
    draft.put(replace(task, node_id="n2"))
    draft.put(task)
    draft.put(Task(id="new"))
    draft.delete(Task, "new")
    assert not draft.transaction()
    assert draft.transaction() == Transaction()


def test_a_moved_version_is_a_conflict_and_nothing_is_applied() -> None:
    tables = with_objects(Task(id="t1"))
    first, second = Draft(tables), Draft(tables)
    task = tables.get(Task, "t1")
    assert task is not None
    first.put(replace(task, node_id="n1"))
    second.put(replace(task, node_id="n2"))
    second.put(Task(id="t2"))
    tables.commit(first.transaction())
    with pytest.raises(errors.Conflict, match=r"task t1 changed .* version 2, not 1"):
        tables.commit(second.transaction())
    assert tables.get(Task, "t2") is None
    assert tables.index == 3


def test_an_object_only_read_can_be_required_to_stay() -> None:
    tables = with_objects(Network(id="n", spec=NetworkSpec(name="net")))
    network = tables.get(Network, "n")
    assert network is not None
    draft = Draft(tables)
    draft.require(network)
    draft.put(Endpoint(id="e", network_id="n"))
    remove = Draft(tables)
    remove.delete(Network, "n")
    tables.commit(remove.transaction())
    with pytest.raises(errors.Conflict, match="network n was deleted"):
        tables.commit(draft.transaction())


def test_names_are_unique_without_regard_to_case_and_free_once_pending_delete() -> None:
    tables = with_objects(Service(id="s1", name="Web"))
    with pytest.raises(errors.AlreadyExists, match="a service called web already"):
        tables.commit(_put(tables, Service(id="s2", name="wEB")))
    tables.commit(_put(tables, Network(id="n1", spec=NetworkSpec(name="web"))))
    old = tables.find(Service, BY_NAME, "WEB")[0]
    draft = Draft(tables)
    draft.put(replace(old, pending_delete=True))
    draft.put(Service(id="s2", name="web"))
    tables.commit(draft.transaction())
    assert [service.id for service in tables.find(Service, BY_NAME, "web")] == ["s2"]


def test_two_new_objects_of_one_transaction_cannot_share_a_name() -> None:
    tables = Tables()
    with pytest.raises(errors.AlreadyExists):
        tables.commit(_put(tables, Service(id="s1", name="web"), Service(id="s2", name="web")))
    assert not list(tables.all(Service))


def test_indexes_follow_changes() -> None:
    tables = with_objects(Task(id="t1"), Endpoint(id="e1", network_id="n", node_id="w1"))
    assert [task.id for task in tables.find(Task, BY_NODE, "")] == ["t1"]
    task = tables.get(Task, "t1")
    assert task is not None
    tables.commit(_put(tables, replace(task, node_id="w1", status=TaskStatus(state=TaskState.ASSIGNED))))
    assert not tables.find(Task, BY_NODE, "")
    assert [task.id for task in tables.find(Task, BY_STATE, TaskState.ASSIGNED)] == ["t1"]
    assert [endpoint.id for endpoint in tables.find(Endpoint, BY_NETWORK, "n")] == ["e1"]
    tables.validate()


def test_an_index_a_kind_lacks_is_named() -> None:
    with pytest.raises(errors.Bug, match="task has no index BY_NETWORK"):
        Tables().find(Task, BY_NETWORK, "n")


def test_a_draft_over_a_draft_shows_what_would_be() -> None:
    tables = with_objects(Task(id="t1"))
    outer = Draft(tables)
    outer.put(Task(id="t2", node_id="n"))
    inner = Draft(outer)
    inner.delete(Task, "t1")
    assert [task.id for task in inner.all(Task)] == ["t2"]
    assert [task.id for task in inner.find(Task, BY_NODE, "n")] == ["t2"]
    assert [task.id for task in outer.all(Task)] == ["t1", "t2"]


@pytest.mark.parametrize(
    ("transaction", "error"),
    [
        (Transaction(put=(Task(id="t"),)), "without naming its version"),
        (Transaction((Expect(Task, "t", 0),), (Task(id="t"),), (Key(Task, "t"),)), "once only"),
        (Transaction((Expect(Task, "t", 0),), (), (Key(Task, "t"),)), "no task t to delete"),
    ],
)
def test_a_malformed_transaction_is_refused(transaction: Transaction, error: str) -> None:
    with pytest.raises(errors.Refused, match=error):
        Tables().commit(transaction)


def _put(tables: Tables, *objects: Service | Task | Network) -> Transaction:
    draft = Draft(tables)
    for obj in objects:
        draft.put(obj)
    return draft.transaction()
