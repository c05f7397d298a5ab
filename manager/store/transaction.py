"""What a change is: a transaction before it is applied, a commit after."""

from msgspec import Struct

from covey.model.objects import Object

from .kinds import Kind


class Expect(Struct, frozen=True, gc=False):
    """The version an object must have for a transaction to be applied; 0 means it must not exist."""

    kind: Kind
    id: str
    version: int


class Key(Struct, frozen=True, gc=False):
    """What names an object."""

    kind: Kind
    id: str


class Transaction(Struct, frozen=True):
    """Versions expected, objects that result, objects that go: all of it happens, or nothing.

    `expect` covers every object put and deleted, and may name further ones that were only read. The
    `meta` of a put object is ignored but for what the store keeps of it itself.
    """

    expect: tuple[Expect, ...] = ()
    put: tuple[Object, ...] = ()
    delete: tuple[Key, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.put or self.delete)


class Change(Struct, frozen=True, gc=False):
    """One object before and after a commit: `before` is None for a new one, `after` for a deleted one."""

    kind: Kind
    before: Object | None
    after: Object | None

    @property
    def id(self) -> str:
        """The object's id."""
        present = self.after if self.after is not None else self.before
        assert present is not None, "a change has a before or an after"
        return present.id


class Commit(Struct, frozen=True):
    """An applied transaction: the log index it stands at, the proposer's time, and what it changed."""

    index: int
    at_ns: int
    changes: tuple[Change, ...]
