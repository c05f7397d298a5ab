"""A transaction cut into pieces comes to the same as the whole."""

from hypothesis import given
from hypothesis import strategies as st

from covey.model.objects import KINDS, Endpoint, Meta, Network, Service, Task
from manager.store.draft import Draft
from manager.store.entry import Entry, encoded_bytes
from manager.store.pieces import pieces
from manager.store.tables import Tables

IDS = st.integers(0, 9).map(lambda n: f"i{n}")


def build(tasks: dict[str, int], deleted: set[str]) -> tuple[Tables, Draft]:
    tables = Tables()
    base = Draft(tables)
    for id in "i0", "i1", "i2":
        base.put(Task(id=id))
        base.put(Endpoint(id=id, task_id=id))
    base.put(Network(id="n"))
    tables.commit(base.transaction())
    draft = Draft(tables)
    network = tables.get(Network, "n")
    assert network is not None
    draft.require(network)
    for id, size in tasks.items():
        present = tables.get(Task, id)
        draft.put(Task(id=id, service_id="s" * size, meta=present.meta if present else Meta()))
        draft.put(Endpoint(id=f"new {id}", task_id=id))
    for id in deleted & {"i0", "i1", "i2"}:
        draft.delete(Endpoint, id)
        draft.delete(Task, id)
    draft.put(Service(id="s", name="web"))
    return tables, draft


@given(st.dictionaries(IDS, st.integers(0, 400)), st.sets(IDS), st.integers(600, 3000))
def test_pieces_come_to_the_same_as_the_whole(
    tasks: dict[str, int], deleted: set[str], bytes_max: int
) -> None:
    whole, draft = build(tasks, deleted)
    parts, _ = build(tasks, deleted)
    transaction = draft.transaction()
    whole.commit(transaction)
    cut = pieces(transaction, bytes_max)
    for piece in cut:
        assert encoded_bytes(Entry(piece)) <= bytes_max
        parts.commit(piece)
        for endpoint in parts.all(Endpoint):
            assert (
                not endpoint.id.startswith("new")
                or parts.get(Task, endpoint.task_id)
                or endpoint.task_id in deleted
            )
    for kind in KINDS:
        assert [obj.id for obj in whole.all(kind)] == [obj.id for obj in parts.all(kind)]
    if encoded_bytes(Entry(transaction)) <= bytes_max:
        assert cut == [transaction]


def test_nothing_is_no_piece() -> None:
    assert pieces(Draft(Tables()).transaction()) == []
