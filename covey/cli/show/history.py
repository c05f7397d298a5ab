"""A service's revisions in words: who changed what, and when. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from covey.client.views import ServiceDetail
from covey.model.difference import FieldChange, changes
from covey.model.history import goes_back_to
from covey.model.objects import Revision

from .jsonable import date
from .plan import changes_text
from .text import ago, table

_FORCE = "force"  # a count that tells two revisions apart, and nobody else anything
_HEADERS = ("REVISION", "WHEN", "WHO", "WHAT")


@dataclass(frozen=True, slots=True)
class Entry:
    """One revision. `mark` is `current`, or `previous` for the one that a rollback would bring back."""

    revision: Revision
    mark: str
    changed: tuple[FieldChange, ...]
    follows_unknown: bool
    """What it changed cannot be said, because the one before it is no longer kept."""


def entries(detail: ServiceDetail, revisions: Sequence[Revision], networks: Mapping[str, str]) -> list[Entry]:
    """Return the history, newest first. `networks` gives names for ids."""
    ordered = sorted(revisions, key=lambda revision: revision.number)
    by_number = {revision.number: revision for revision in ordered}
    current = next((r for r in ordered if r.id == detail.service.revision_id), None)
    back = goes_back_to(current, ordered) if current is not None else None
    found = []
    for revision in reversed(ordered):
        before = by_number.get(revision.number - 1)
        mark = "current" if revision is current else "previous" if revision is back else ""
        changed = changes(before.spec, revision.spec, networks) if before is not None else []
        found.append(Entry(revision, mark, tuple(changed), before is None and revision.number > 1))
    return found


def history_table(found: Sequence[Entry], now_ns: int) -> str:
    """Lay out a history; a revision has as many lines as it changed fields."""
    rows = list[tuple[str, str, str, str]]()
    for entry in found:
        revision = entry.revision
        first, *more = _what(entry)
        when = ago(revision.meta.created_at_ns, now_ns)
        number = f"{revision.number} {entry.mark}".rstrip()
        rows.append((number, when, revision.author or "unknown", first))
        rows += [("", "", "", line) for line in more]
    return table(_HEADERS, rows)


def _what(entry: Entry) -> list[str]:
    revision = entry.revision
    said = [f"restores {revision.restores}"] if revision.restores else []
    if revision.number == 1:
        return [f"created: {revision.spec.task.container.image}"]
    if entry.follows_unknown:
        return [*said, "(the revision before it is not kept any more)"]
    told = [change for change in entry.changed if change.path != _FORCE]
    if len(told) < len(entry.changed) and not revision.restores:
        said.append("all tasks replaced (restart, or update --force)")
    said += changes_text(told)
    return said or ["(nothing that is shown: credentials, say)"]


def history_json(found: Sequence[Entry]) -> list[dict[str, object]]:
    """Return a history as scripts read it, newest first as the table has it."""
    return [
        {
            "revision": entry.revision.number,
            "id": entry.revision.id,
            "mark": entry.mark,
            "created_at": date(entry.revision.meta.created_at_ns),
            "author": entry.revision.author,
            "restores": entry.revision.restores,
            "changes": list(entry.changed),
        }
        for entry in found
    ]
