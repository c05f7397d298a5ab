"""Who wants which name. The better rank has it; within a rank it is shared."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Generic, NamedTuple, TypeVar


class Rank(IntEnum):
    """Whose name it is rather; the lower wins."""

    SERVICE = 0
    ALIAS = 1
    TASK = 2


class Claim(NamedTuple):
    """A service (by its name or an alias) or an endpoint wants a name. `tasks`: it is `tasks.` of a service.

    Claims on a name stand in this order, so that it makes no difference which came first.
    """

    rank: Rank
    id: str
    tasks: bool = False


Key = TypeVar("Key", bound=bytes)
Wanted = TypeVar("Wanted", Claim, tuple[Claim, str])


class _Book(Generic[Key, Wanted]):
    """Who wants what, by key. Nearly always it is one alone, and ten thousand may share one: both are cheap."""

    __slots__ = ("_all", "touched")

    def __init__(self) -> None:
        self._all: dict[Key, Wanted | dict[Wanted, None]] = {}
        self.touched: set[Key] = set()

    def add(self, key: Key, wanted: Wanted) -> None:
        found = self._all.get(key)
        if found is None:
            self._all[key] = wanted
        elif isinstance(found, dict):
            found[wanted] = None
        elif found != wanted:
            self._all[key] = {found: None, wanted: None}
        self.touched.add(key)

    def remove(self, key: Key, wanted: Wanted) -> None:
        found = self._all.get(key)
        if isinstance(found, dict):
            found.pop(wanted, None)
            if len(found) == 1:
                (self._all[key],) = found
        elif found == wanted:
            del self._all[key]
        self.touched.add(key)

    def of(self, key: Key) -> list[Wanted]:
        found = self._all.get(key)
        if found is None:
            return []
        return sorted(found) if isinstance(found, dict) else [found]

    def take_touched(self) -> set[Key]:
        touched, self.touched = self.touched, set()
        return touched


class Claims:
    """Claims by wire name, and which names were touched since they were taken. `reverse`: by address."""

    def __init__(self) -> None:
        self._names: _Book[bytes, Claim] = _Book()
        self._reverse: _Book[bytes, tuple[Claim, str]] = _Book()

    def add(self, wires: Iterable[bytes], claim: Claim) -> None:
        """Let `claim` want these names."""
        for wire in wires:
            self._names.add(wire, claim)

    def remove(self, wires: Iterable[bytes], claim: Claim) -> None:
        """Let `claim` want these names no more; no matter if it did not."""
        for wire in wires:
            self._names.remove(wire, claim)

    def winners(self, wire: bytes) -> list[Claim]:
        """Return the claims that have the name, in order."""
        claims = self._names.of(wire)
        if len(claims) < 2:
            return claims
        return [claim for claim in claims if claim.rank is claims[0].rank]

    def touch(self, wires: Iterable[bytes]) -> None:
        """Have these names looked at again."""
        self._names.touched.update(wires)

    def take_touched(self) -> set[bytes]:
        """Return which names are to be looked at, and forget that."""
        return self._names.take_touched()

    def add_reverse(self, wires: Iterable[bytes], claim: Claim, name: str) -> None:
        """Let these addresses lead back to `name`."""
        for wire in wires:
            self._reverse.add(wire, (claim, name))

    def remove_reverse(self, wires: Iterable[bytes], claim: Claim, name: str) -> None:
        """Let these addresses lead back to `name` no more."""
        for wire in wires:
            self._reverse.remove(wire, (claim, name))

    def reverse_names(self, wire: bytes) -> tuple[str, ...]:
        """Return what an address leads back to."""
        return tuple(dict.fromkeys(name for _, name in self._reverse.of(wire)))

    def take_touched_reverse(self) -> set[bytes]:
        """As `take_touched`, of addresses."""
        return self._reverse.take_touched()
