"""Preferences: which of the nodes that have room are filled first. A new one is a class and a line in `PREFERENCES`.

Each puts nodes into tiers. A tier is used only once those before it have no room left; within one, tasks are
spread evenly. So what packs tasks tightly, or keeps good machines for who needs them, is one more class here.
"""

from typing import Protocol

from .fleet import Host
from .group import Group


class Preference(Protocol):
    """One reason to fill some nodes before others."""

    def set(self, group: Group) -> bool:
        """Take up what a group is; False if this has nothing to say about it."""
        ...

    def tier(self, host: Host) -> int:
        """Say when a node's turn is: 0 first."""
        ...


class NotFailing:
    """Nodes where the group's tasks have not kept failing of late."""

    def __init__(self) -> None:
        self._failing: frozenset[str] = frozenset()

    def set(self, group: Group) -> bool:
        """Only groups whose tasks fail somewhere are concerned."""
        self._failing = group.failing
        return bool(self._failing)

    def tier(self, host: Host) -> int:
        """Those where they fail come last."""
        return int(host.node.id in self._failing)


PREFERENCES: tuple[type[Preference], ...] = (NotFailing,)
"""The first that tells two nodes apart decides."""


class Tiers:
    """All preferences together, as they are for one group."""

    def __init__(self, group: Group) -> None:
        self._preferences = [preference for make in PREFERENCES if (preference := make()).set(group)]

    def of(self, host: Host) -> tuple[int, ...]:
        """The tier of a node: smaller ones are filled first."""
        return tuple(preference.tier(host) for preference in self._preferences)

    def first(self, host: Host) -> bool:
        """Tell whether nothing speaks against a node."""
        return not any(self.of(host))
