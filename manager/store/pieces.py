"""Cutting a transaction that is too large for one log entry into several that are each sound."""

from collections.abc import Iterable

from covey import limits
from covey.model.objects import Endpoint, Object, Task

from .entry import Entry, encoded_bytes
from .kinds import Kind
from .transaction import Expect, Key, Transaction

Place = tuple[Kind, str]


def pieces(transaction: Transaction, bytes_max: int = limits.entry_bytes_max) -> list[Transaction]:
    """Cut a transaction into pieces of at most `bytes_max`, to be committed in this order; usually it is one.

    What stands together stays together: a task and its endpoints, and everything that is neither task nor
    endpoint (which comes first). So each piece is a state that planners can go on from. One that is
    still too large is left as it is, and refused when it is committed.
    """
    if not transaction or encoded_bytes(Entry(transaction)) <= bytes_max:
        return [transaction] if transaction else []
    expected = {(expect.kind, expect.id): expect for expect in transaction.expect}
    first, groups = _groups(transaction)
    written: set[Place] = {(type(obj), obj.id) for obj in transaction.put} | {
        (k.kind, k.id) for k in transaction.delete
    }
    # What was only read must still be so whichever piece it was read for.
    read = tuple(expect for place, expect in expected.items() if place not in written)
    cut: list[Transaction] = []
    members: list[Object | Key] = [*first]
    size = _size(members, expected, read)
    for group in groups:
        more = _size(group, expected)
        if members and size + more > bytes_max:
            cut.append(_transaction(members, expected, read))
            members, size = [], _size((), expected, read)
        members += group
        size += more
    return [*cut, _transaction(members, expected, read)]


def _groups(transaction: Transaction) -> tuple[list[Object | Key], list[list[Object | Key]]]:
    first: list[Object | Key] = []
    groups: dict[str, list[Object | Key]] = {}
    for obj in transaction.put:
        match obj:
            case Task():
                groups.setdefault(obj.id, []).append(obj)
            case Endpoint():
                groups.setdefault(obj.task_id, []).append(obj)
            case _:
                first.append(obj)
    for key in transaction.delete:
        if key.kind in {Task, Endpoint}:
            groups[f"deleted {key.kind.__name__} {key.id}"] = [key]
        else:
            first.append(key)
    return first, list(groups.values())


def _transaction(
    members: Iterable[Object | Key], expected: dict[Place, Expect], read: tuple[Expect, ...]
) -> Transaction:
    put = tuple(obj for obj in members if not isinstance(obj, Key))
    delete = tuple(key for key in members if isinstance(key, Key))
    places: list[Place] = [(type(obj), obj.id) for obj in put] + [(key.kind, key.id) for key in delete]
    return Transaction((*read, *(expected[place] for place in places)), put, delete)


def _size(
    members: Iterable[Object | Key], expected: dict[Place, Expect], read: tuple[Expect, ...] = ()
) -> int:
    """Give the bytes that members take in an entry; two parts together never take more than their sum."""
    return encoded_bytes(Entry(_transaction(members, expected, read)))
