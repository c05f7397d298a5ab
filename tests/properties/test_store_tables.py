"""Any interleaving of transactions: indexes, versions, drafts, watches, replay and snapshots agree."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from covey import errors
from covey.model.objects import (
    KINDS,
    Endpoint,
    Network,
    Object,
    Revision,
    Service,
    Task,
    TaskStatus,
    VirtualIp,
)
from covey.model.specs import NetworkSpec
from covey.model.states import TaskState
from manager.store import entry, snapshot
from manager.store.draft import Draft
from manager.store.kinds import Kind
from manager.store.tables import Tables
from manager.store.transaction import Commit, Transaction
from manager.store.view import KEYS, View, keys

IDS = st.sampled_from("abcde")
REFERENCES = st.sampled_from(["", "n1", "n2"])
NAMES = st.sampled_from(["web", "Web", "WEB", "db", "straße", "STRASSE"])

OBJECTS: st.SearchStrategy[Object] = st.one_of(
    st.builds(
        Task,
        id=IDS,
        service_id=REFERENCES,
        node_id=REFERENCES,
        status=st.builds(TaskStatus, state=st.sampled_from(TaskState)),
    ),
    st.builds(
        Service,
        id=IDS,
        name=NAMES,
        pending_delete=st.booleans(),
        virtual_ips=st.lists(st.builds(VirtualIp, network_id=REFERENCES), max_size=2).map(tuple),
    ),
    st.builds(Network, id=IDS, spec=st.builds(NetworkSpec, name=NAMES), pending_delete=st.booleans()),
    st.builds(Endpoint, id=IDS, network_id=REFERENCES, task_id=REFERENCES),
    st.builds(Revision, id=IDS, service_id=REFERENCES),
)
# What a writer does to a draft: put an object, or delete one that is there.
WRITES = st.lists(st.one_of(OBJECTS, st.tuples(st.sampled_from(KINDS), IDS)), max_size=5)
# Which of several writers begins, writes, or commits next.
STEPS = st.lists(st.tuples(st.integers(0, 2), st.one_of(st.none(), WRITES)), max_size=25)


def write(draft: Draft, writes: list[Any]) -> None:
    for step in writes:
        if isinstance(step, tuple):
            kind, id = step
            if draft.get(kind, id) is not None:
                draft.delete(kind, id)
        else:
            present = draft.get(type(step), step.id)
            draft.put(replace(step, meta=present.meta) if present is not None else step)


def interleave(steps: list[Any], apply: Callable[[Transaction], None], base: View) -> None:
    """Let three writers write and commit drafts over each other."""
    drafts: dict[int, Draft] = {}
    for writer, step in steps:
        draft = drafts.setdefault(writer, Draft(base))
        if step is None:
            apply(drafts.pop(writer).transaction())
        else:
            write(draft, step)


def state(view: View) -> dict[Kind, list[Object]]:
    return {kind: list(view.all(kind)) for kind in KINDS}


def assert_sound(view: View) -> None:
    """Every index answers as a search through everything would."""
    for kind in KINDS:
        everything: list[Object] = list(view.all(kind))
        assert [obj.id for obj in everything] == sorted({obj.id for obj in everything})
        for by, of in KEYS.get(kind, {}).items():
            values = {key for obj in everything for key in keys(by, of, obj)}
            for value in values | {"", "n1", "web", TaskState.RUNNING}:
                expected = [obj for obj in everything if value in keys(by, of, obj)]
                assert list(view.find(kind, by, value)) == expected


@given(STEPS)
def test_tables_stay_sound_and_versions_rise(steps: list[Any]) -> None:
    tables = Tables()

    def apply(transaction: Transaction) -> None:
        before = state(tables)
        outcome = tables.apply(transaction, tables.index + 1, at_ns=tables.index)
        tables.validate()
        if not isinstance(outcome, Commit):
            assert state(tables) == before, "a refused transaction changes nothing"
            return
        for obj in transaction.put:
            after = tables.get(type(obj), obj.id)
            assert after is not None
            assert after.meta.version == tables.index > obj.meta.version
            assert replace(after, meta=obj.meta) == obj

    interleave(steps, apply, tables)
    assert_sound(tables)


@given(WRITES, WRITES)
def test_a_draft_shows_what_its_transaction_leads_to(first: list[Any], second: list[Any]) -> None:
    tables = Tables()
    for writes in (first, second):
        draft = Draft(tables)
        write(draft, writes)
        assert_sound(draft)
        promised = {
            kind: [replace(obj, meta=obj.meta.__class__()) for obj in draft.all(kind)] for kind in KINDS
        }
        outcome = tables.apply(draft.transaction(), tables.index + 1, 0)
        if isinstance(outcome, Commit):
            assert promised == {
                kind: [replace(obj, meta=obj.meta.__class__()) for obj in tables.all(kind)] for kind in KINDS
            }
        else:
            assert isinstance(outcome, errors.AlreadyExists), "nobody else wrote"


@given(STEPS)
def test_changes_are_exactly_the_difference_of_states(steps: list[Any]) -> None:
    tables = Tables()
    mirror: dict[tuple[Kind, str], Object] = {}

    def apply(transaction: Transaction) -> None:
        outcome = tables.apply(transaction, tables.index + 1, 0)
        for change in outcome.changes if isinstance(outcome, Commit) else ():
            assert mirror.get((change.kind, change.id)) == change.before
            if change.after is None:
                del mirror[change.kind, change.id]
            else:
                mirror[change.kind, change.id] = change.after

    interleave(steps, apply, tables)
    assert mirror == {(kind, obj.id): obj for kind, rows in state(tables).items() for obj in rows}


@given(STEPS, st.integers(0, 10))
def test_replay_and_snapshot_with_tail_equal_what_was_live(steps: list[Any], cut: int) -> None:
    live = Tables()
    log: list[bytes] = []

    def apply(transaction: Transaction) -> None:
        log.append(entry.encode(entry.Entry(transaction, at_ns=len(log))))
        decoded = entry.decode(log[-1])
        assert decoded.transaction == transaction
        live.apply(decoded.transaction, live.index + 1, decoded.at_ns)

    def replay(tables: Tables, entries: list[bytes]) -> Tables:
        for data in entries:
            decoded = entry.decode(data)
            tables.apply(decoded.transaction, tables.index + 1, decoded.at_ns)
        return tables

    interleave(steps, apply, live)
    replayed = replay(Tables(), log)
    head = replay(Tables(), log[:cut])
    restored = replay(snapshot.decode(head.index, list(snapshot.encode(head.objects()))), log[cut:])
    restored.validate()
    assert state(replayed) == state(live) == state(restored)
    assert replayed.index == live.index == restored.index


@given(STEPS, st.lists(st.integers(1, 4)))
def test_indexes_of_entries_may_have_gaps(steps: list[Any], gaps: list[int]) -> None:
    tables = Tables()

    def apply(transaction: Transaction) -> None:
        tables.apply(transaction, tables.index + (gaps.pop() if gaps else 1), 0)
        tables.validate()

    interleave(steps, apply, tables)


@given(st.binary(max_size=200))
def test_junk_is_refused_in_a_sentence(data: bytes) -> None:
    for prefix in (b"", b"\x01"):
        try:
            entry.decode(prefix + data)
        except errors.Corrupt as error:
            assert "restore" in str(error)  # noqa: PT017
