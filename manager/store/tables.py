"""The tables: all objects in memory with their indexes, and the one function that changes them."""

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, cast

from msgspec import structs

from covey import errors
from covey.model.objects import KINDS, Meta, Object

from .kinds import Kind, T, noun
from .transaction import Change, Commit, Transaction
from .view import BY_NAME, KEYS, Index, keys


class Table:
    """All objects of one kind. Lists of ids are kept sorted, so that every read is ordered by id."""

    __slots__ = ("filed", "ids", "kind", "rows")

    def __init__(self, kind: Kind, objects: Iterable[Object] = ()) -> None:
        self.kind = kind
        self.rows: dict[str, Any] = {obj.id: obj for obj in objects}
        self.ids: list[str] = sorted(self.rows)
        self.filed: dict[Index, dict[Hashable, list[str]]] = {by: {} for by in KEYS.get(kind, {})}
        for by, of in KEYS.get(kind, {}).items():
            filed = self.filed[by]
            for id in self.ids:
                for key in keys(by, of, self.rows[id]):
                    filed.setdefault(key, []).append(id)

    def put(self, obj: Object) -> None:
        """Insert or replace an object."""
        before = self.rows.get(obj.id)
        self.rows[obj.id] = obj
        if before is None:
            insort(self.ids, obj.id)
        for by, of in KEYS.get(self.kind, {}).items():
            old = keys(by, of, before) if before is not None else frozenset()
            new = keys(by, of, obj)
            if old != new:
                self._unfile(by, old - new, obj.id)
                for key in new - old:
                    insort(self.filed[by].setdefault(key, []), obj.id)

    def delete(self, id: str) -> None:
        """Remove an object that is there."""
        before = self.rows.pop(id)
        _remove(self.ids, id)
        for by, of in KEYS.get(self.kind, {}).items():
            self._unfile(by, keys(by, of, before), id)

    def find(self, by: Index, value: Hashable) -> Sequence[str]:
        """Give the ids filed under `value`, sorted; the list is the table's own."""
        try:
            filed = self.filed[by]
        except KeyError:
            raise errors.Bug(
                f"{noun(self.kind)} has no index {by!r}; add it to manager.store.view.KEYS"
            ) from None
        return filed.get(by.value(value), ())

    def _unfile(self, by: Index, values: Iterable[Hashable], id: str) -> None:
        for key in values:
            ids = self.filed[by][key]
            _remove(ids, id)
            if not ids:
                del self.filed[by][key]


def _remove(ids: list[str], id: str) -> None:
    place = bisect_left(ids, id)
    assert ids[place : place + 1] == [id], f"{id} is filed"
    del ids[place]


class Tables:
    """The state of the cluster in memory: a `View`, and `apply`, the only way it changes."""

    def __init__(self, index: int = 0, objects: Iterable[Object] = ()) -> None:
        self._index = index
        rows: dict[Kind, list[Object]] = {kind: [] for kind in KINDS}
        for obj in objects:
            rows[type(obj)].append(obj)
        self._tables: dict[Kind, Table] = {kind: Table(kind, rows[kind]) for kind in KINDS}

    @property
    def index(self) -> int:
        """The log index of the last entry applied."""
        return self._index

    def get(self, kind: type[T], id: str) -> T | None:
        """Find one object by id."""
        return cast("T | None", self._tables[kind].rows.get(id))

    def all(self, kind: type[T]) -> Iterable[T]:
        """Give all objects of a kind, ordered by id."""
        table = self._tables[kind]
        return [table.rows[id] for id in table.ids]

    def count(self, kind: type[T]) -> int:
        """Say how many objects of a kind there are."""
        return len(self._tables[kind].rows)

    def find(self, kind: type[T], by: Index, value: Hashable) -> Sequence[T]:
        """Give the objects filed under `value`, ordered by id."""
        table = self._tables[kind]
        return [table.rows[id] for id in table.find(by, value)]

    def commit(self, transaction: Transaction, at_ns: int = 0) -> Commit:
        """Apply a transaction at the next index, without a log; raises what `apply` returns if refused."""
        outcome = self.apply(transaction, self._index + 1, at_ns)
        if isinstance(outcome, errors.Refused):
            raise outcome
        return outcome

    def apply(self, transaction: Transaction, index: int, at_ns: int) -> Commit | errors.Refused:
        """Apply the log entry at `index`, or say why it is refused; either way `index` has been passed.

        A pure function of the tables and the arguments: every manager comes to the same result.
        """
        assert index > self._index, f"entry {index} comes after {self._index}"
        self._index = index
        refusal = self._check_versions(transaction) or self._check_names(transaction)
        if refusal is not None:
            return refusal
        changes = [self._put(obj, index, at_ns) for obj in transaction.put]
        for key in transaction.delete:
            table = self._tables[key.kind]
            changes.append(Change(key.kind, table.rows[key.id], None))
            table.delete(key.id)
        return Commit(index, at_ns, tuple(changes))

    def _put(self, obj: Object, index: int, at_ns: int) -> Change:
        kind = type(obj)
        before = self._tables[kind].rows.get(obj.id)
        assert before is None or before.meta.version < index, "versions only rise"
        # What is restored from a backup keeps its age: places and addresses go by it.
        created = obj.meta.created_at_ns or at_ns if before is None else before.meta.created_at_ns
        after = structs.replace(obj, meta=Meta(version=index, created_at_ns=created, updated_at_ns=at_ns))
        self._tables[kind].put(after)
        return Change(kind, before, after)

    def _check_versions(self, transaction: Transaction) -> errors.Refused | None:
        for expect in transaction.expect:
            present = self._tables[expect.kind].rows.get(expect.id)
            version = 0 if present is None else present.meta.version
            if version != expect.version:
                return errors.Conflict(_moved(noun(expect.kind), expect.id, expect.version, version))
        expected = {(expect.kind, expect.id): expect.version for expect in transaction.expect}
        written = [(type(obj), obj.id) for obj in transaction.put] + [
            (k.kind, k.id) for k in transaction.delete
        ]
        if len(set(written)) != len(written):
            return errors.InvalidArgument("a transaction may write each object once only; write what results")
        for kind, id in written:
            if (kind, id) not in expected:
                return errors.InvalidArgument(
                    f"the transaction writes {noun(kind)} {id} without naming its version"
                )
        for key in transaction.delete:
            if not expected[key.kind, key.id]:
                return errors.NotFound(f"there is no {noun(key.kind)} {key.id} to delete")
        return None

    def _check_names(self, transaction: Transaction) -> errors.Refused | None:
        put = [obj for obj in transaction.put if type(obj) in BY_NAME.unique]
        if not put:
            return None
        written = {(type(obj), obj.id) for obj in put} | {(key.kind, key.id) for key in transaction.delete}
        taken: set[tuple[Kind, Hashable]] = set()
        for obj in put:
            kind = type(obj)
            for name in keys(BY_NAME, KEYS[kind][BY_NAME], obj):
                held = any((kind, id) not in written for id in self._tables[kind].find(BY_NAME, name))
                if held or (kind, name) in taken:
                    return errors.AlreadyExists(
                        f"there is a {noun(kind)} called {name} already (upper and lower case are the same); "
                        "choose another name, or remove that one first"
                    )
                taken.add((kind, name))
        return None

    def objects(self) -> dict[Kind, dict[str, Object]]:
        """Copy the rows (not the objects, which never change): quick, and unmoved by later commits."""
        return {kind: dict(table.rows) for kind, table in self._tables.items()}

    def validate(self) -> None:
        """Check every index against the rows; raises `Bug`. For tests and audits: it reads everything."""
        for kind, table in self._tables.items():
            fresh = Table(kind, table.rows.values())
            if (fresh.ids, fresh.filed) != (table.ids, table.filed):
                raise errors.Bug(f"the indexes of {noun(kind)} do not match its rows")
            for id, obj in table.rows.items():
                if id != obj.id or not 0 < obj.meta.version <= self._index:
                    raise errors.Bug(f"{noun(kind)} {id} has id {obj.id} and version {obj.meta.version}")
            for name, ids in table.filed.get(BY_NAME, {}).items():
                if kind in BY_NAME.unique and len(ids) != 1:
                    raise errors.Bug(f"{len(ids)} {noun(kind)}s are called {name}")


def _moved(what: str, id: str, expected: int, version: int) -> str:
    again = "read it again and repeat the request"
    if not expected:
        return f"{what} {id} exists already (version {version}); {again}"
    if not version:
        return f"{what} {id} was deleted since it was read at version {expected}; {again}"
    return f"{what} {id} changed since it was read: version {version}, not {expected}; {again}"
