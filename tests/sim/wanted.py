"""What people asked for and were told is done: it is so in the end, unless they asked for something else since.

What somebody was not answered may have been done or not, at any time, so either is right.
"""

from dataclasses import dataclass, field

from covey.model.objects import Node, Revision, Service
from manager.store.tables import Tables
from tests.sim.checkers import Violated

Fact = tuple[str, str, object]
"""An object's id, what of it, and how that is to be."""


@dataclass
class Wanted:
    """The newest acknowledged wish of each kind, and those of which nobody knows."""

    said: dict[tuple[str, str], tuple[int, object]] = field(default_factory=dict)
    unsure: dict[tuple[str, str], set[object]] = field(default_factory=dict)

    def done(self, index: int, facts: list[Fact]) -> None:
        """Hear that a wish was acknowledged, written at a place of the log."""
        for id, what, value in facts:
            if index > self.said.get((id, what), (0, None))[0]:
                self.said[id, what] = index, value

    def unknown(self, facts: list[Fact]) -> None:
        """Hear that nobody knows what came of a wish."""
        for id, what, value in facts:
            self.unsure.setdefault((id, what), set()).add(value)

    def at_the_end(self, tables: Tables) -> None:
        """See that everything is as it was asked for."""
        for (id, what), (_, value) in self.said.items():
            found = _found(tables, id, what)
            if not found or value in found or self.unsure.get((id, what), set()).intersection(found):
                continue
            raise Violated(f"people wanted {what} of {id} to be {value!r}, and it is {found[0]!r}")


def _found(tables: Tables, id: str, what: str) -> list[object]:
    """How it is; of an update that was turned back since, how it was too; nothing of what is gone."""
    service, node = tables.get(Service, id), tables.get(Node, id)
    if node is not None:
        return [node.spec.availability if what == "availability" else node.spec.labels.get(what)]
    if what == "gone":
        return [service is None]
    if service is None or service.pending_delete:
        return []  # removed by a later wish, which is judged by itself
    revision = tables.get(Revision, service.revision_id)
    assert revision is not None, f"service {id} has no revision"
    match what:
        case "stopped":
            return [service.stopped]
        case "replicas":
            return [revision.spec.mode.replicas]
        case _:
            images = [revision.spec.task.container.image]
            failed = tables.get(Revision, service.previous_revision_id)
            if failed is not None and revision.restores:
                images.append(failed.spec.task.container.image)
            return list[object](images)
