"""A transaction being written: reads see its own writes."""

from collections.abc import Hashable, Iterable, Sequence
from typing import cast

from msgspec import structs

from covey import errors
from covey.model.objects import KINDS, Object

from .kinds import Kind, T, noun
from .tables import Table
from .transaction import Expect, Key, Transaction
from .view import Index, View


class Draft:
    """A `View` of what the state would be, over any other view (the store, tables, another draft).

    Nothing happens to the base. Each object written is expected to have, when the transaction is applied,
    the version it had when it was read (`meta.version` of the object that is put). A draft that outlives
    an await reads what the base has become; what it has written itself stays as written.
    """

    def __init__(self, base: View) -> None:
        self._base = base
        self._written: dict[Kind, Table] = {kind: Table(kind) for kind in KINDS}
        self._deleted: dict[Kind, set[str]] = {kind: set() for kind in KINDS}
        self._expected: dict[tuple[Kind, str], int] = {}
        self._required: dict[tuple[Kind, str], int] = {}

    @property
    def index(self) -> int:
        """The index of the state this draft is over."""
        return self._base.index

    def get(self, kind: type[T], id: str) -> T | None:
        """Find one object by id."""
        if id in self._deleted[kind]:
            return None
        written = self._written[kind].rows.get(id)
        return cast(T, written) if written is not None else self._base.get(kind, id)

    def all(self, kind: type[T]) -> Iterable[T]:
        """Give all objects of a kind, ordered by id."""
        return self._merge(kind, self._base.all(kind), self._written[kind].ids)

    def find(self, kind: type[T], by: Index, value: Hashable) -> Sequence[T]:
        """Give the objects filed under `value`, ordered by id."""
        return self._merge(kind, self._base.find(kind, by, value), self._written[kind].find(by, value))

    def _merge(self, kind: type[T], base: Iterable[T], ids: Sequence[str]) -> Sequence[T]:
        written, deleted = self._written[kind], self._deleted[kind]
        if not written.rows and not deleted:
            return base if isinstance(base, list) else list(base)
        merged = [obj for obj in base if obj.id not in written.rows and obj.id not in deleted]
        if ids:
            merged.extend(cast(T, written.rows[id]) for id in ids)
            merged.sort(key=lambda obj: obj.id)
        return merged

    def put(self, obj: Object) -> None:
        """Create an object (`meta.version` 0), or replace the version `obj` was made from.

        Putting what the base holds already is no change and leaves nothing in the transaction.
        """
        assert obj.id, f"a {noun(type(obj))} has an id"
        kind = type(obj)
        place = (kind, obj.id)
        if obj.id in self._deleted[kind]:
            # Created anew after it was deleted here: for everybody else it is an update.
            self._deleted[kind].discard(obj.id)
            present = self._base.get(kind, obj.id)
            if present is not None and not obj.meta.version:
                obj = structs.replace(obj, meta=present.meta)
        # The older one of two versions is the one that must conflict.
        self._expected[place] = min(self._expected.get(place, obj.meta.version), obj.meta.version)
        if obj == self._base.get(kind, obj.id):
            if obj.id in self._written[kind].rows:
                self._written[kind].delete(obj.id)
            del self._expected[place]
        else:
            self._written[kind].put(obj)

    def delete(self, kind: Kind, id: str) -> None:
        """Delete an object that is there; one created in this draft leaves no trace."""
        present = self.get(kind, id)
        if present is None:
            raise errors.NotFound(f"there is no {noun(kind)} {id}")
        version = self._expected.setdefault((kind, id), present.meta.version)
        if id in self._written[kind].rows:
            self._written[kind].delete(id)
        if version:
            self._deleted[kind].add(id)
        else:
            del self._expected[kind, id]

    def require(self, obj: Object) -> None:
        """Have the transaction refused if `obj`, which was only read, changes before it is applied."""
        self._required.setdefault((type(obj), obj.id), obj.meta.version)

    def transaction(self) -> Transaction:
        """Give what was written; false in a condition if nothing was."""
        put = tuple(table.rows[id] for table in self._written.values() for id in table.rows)
        delete = tuple(Key(kind, id) for kind, ids in self._deleted.items() for id in sorted(ids))
        if not put and not delete:
            return Transaction()
        expected = {**self._required, **self._expected}
        return Transaction(
            tuple(Expect(kind, id, version) for (kind, id), version in expected.items()), put, delete
        )
