"""Mappings that know what they came from: two that follow one another are compared where they differ only.

A table of ten thousand rows changes by one or two at a time. What is computed from it is computed anew for the
rows that changed, and copied otherwise, which the interpreter does without looking at each; and whoever then
compares the new with the old is told which keys to look at. Where nobody knows, all are looked at: lineage
saves work and decides nothing.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, TypeVar
from weakref import ref

K = TypeVar("K")
V = TypeVar("V")


class Derived(dict[K, V]):
    """A mapping, by convention never changed once made, that may know another it came from."""

    __slots__ = ("__weakref__", "_origin", "_touched")

    _origin: "ref[Derived[K, V]] | None"
    _touched: Collection[K]

    def __init__(self, items: Mapping[K, V] | Iterable[tuple[K, V]] = ()) -> None:
        super().__init__(items)
        self._origin = None
        self._touched = ()

    def changed(self, put: Mapping[K, V], drop: Collection[K] = ()) -> "Derived[K, V]":
        """The same but without the keys `drop`, and then with `put`; this one itself if that changes nothing."""
        drop = {key for key in drop if key in self and key not in put}
        put = {key: value for key, value in put.items() if key not in self or self[key] != value}
        if not put and not drop:
            return self
        new = Derived(self)
        for key in drop:
            del new[key]
        new.update(put)
        new._origin, new._touched = ref(self), (*put, *drop)
        return new

    def since(self, other: object) -> Collection[K] | None:
        """The keys in which this differs from `other` at most; None if that is not known."""
        if other is self:
            return ()
        return self._touched if self._origin is not None and self._origin() is other else None


def touched(have: Mapping[K, Any], want: Mapping[K, Any]) -> Iterable[K]:
    """The keys in which two mappings may differ: few if their lineage is known."""
    since = getattr(want, "since", None)
    known: Collection[K] | None = since(have) if since is not None else None
    return known if known is not None else _both(have, want)


def _both(have: Mapping[K, Any], want: Mapping[K, Any]) -> Iterator[K]:
    yield from want
    yield from (key for key in have if key not in want)


def difference(have: Mapping[K, Any], want: Mapping[K, Any]) -> tuple[list[K], list[K]]:
    """The keys to set and those to unset to get from `have` to `want`. No value may be None."""
    set_, unset = list[K](), list[K]()
    for key in touched(have, want):
        wish = want.get(key)
        if wish is None:
            if key in have:
                unset.append(key)
        elif have.get(key) != wish:
            set_.append(key)
    return set_, unset
