"""An audit for reading: a table of each kind of finding, and what it amounts to."""

from collections.abc import Iterator, Sequence

from covey.client.views import AuditedNode, ClusterAudit
from covey.model.audit import AuditReport, Finding
from covey.model.quantity import size_text

from .text import table

_MANAGERS = "managers"
Row = tuple[str, Finding]


def audit_text(told: ClusterAudit, *, repair: bool) -> str:
    """Say what was found, kind by kind, then who did not answer, then the sum."""
    rows = list(_rows(told))
    parts = []
    for kind in sorted({finding.kind for _, finding in rows}, key=str.casefold):
        of_kind = [row for row in rows if row[1].kind == kind]
        parts.append(f"{kind} ({_number(of_kind, repair)})\n{_table(of_kind, repair)}")
    lines = [
        *_omitted(told),
        *(f"Not answered: {_name(each)}: {each.unanswered}" for each in told.nodes if each.unanswered),
        *(f"Remark of {name}: {remark}" for name, report in _reports(told) for remark in report.remarks),
        *(f"Note of {name}: {note}" for name, report in _reports(told) for note in report.notes),
    ]
    if told.managers is None and not told.local:
        lines.append("Not answered: the managers did not come to say what they found; ask again")
    lines += [_unused(told), _sum(told, rows, repair)]
    return "\n\n".join([*parts, "\n".join(line for line in lines if line)])


def is_clean(told: ClusterAudit) -> bool:
    """Tell whether nothing amiss is left."""
    return not any(report.counts for _, report in _reports(told))


def is_complete(told: ClusterAudit) -> bool:
    """Tell whether everybody answered, about everything."""
    silent = any(each.unanswered for each in told.nodes) or (told.managers is None and not told.local)
    return not silent and not any(report.remarks for _, report in _reports(told))


def _reports(told: ClusterAudit) -> Iterator[tuple[str, AuditReport]]:
    for node in told.nodes:
        if not node.unanswered:
            yield _name(node), node.report
    if told.managers is not None:
        yield _MANAGERS, told.managers


def _rows(told: ClusterAudit) -> Iterator[Row]:
    for name, report in _reports(told):
        for finding in report.findings:
            yield name, finding


def _name(node: AuditedNode) -> str:
    return node.hostname or node.node_id


def _number(rows: Sequence[Row], repair: bool) -> str:
    mended = sum(finding.repaired for _, finding in rows)
    return f"{len(rows)}, {mended} of them repaired" if repair else str(len(rows))


def _table(rows: Sequence[Row], repair: bool) -> str:
    headers = ("NODE", "WHERE", "WHAT", *(("NOW",) if repair else ()))
    return table(
        headers,
        [
            (name, each.place, each.words, *(("repaired" if each.repaired else "remains",) if repair else ()))
            for name, each in rows
        ],
    )


def _omitted(told: ClusterAudit) -> Iterator[str]:
    for name, report in _reports(told):
        if report.omitted:
            kinds = ", ".join(f"{each.number} {each.kind}" for each in report.counts)
            yield f"{name} has {report.omitted} more that are not listed; in all: {kinds or 'none'}"


def _unused(told: ClusterAudit) -> str:
    images = sum(report.unused_images for _, report in _reports(told))
    size = sum(report.unused_image_bytes for _, report in _reports(told))
    if not images and not size:
        return ""
    return f"Unused: {images} images that no task refers to ({size_text(size)})"


def _sum(told: ClusterAudit, rows: Sequence[Row], repair: bool) -> str:
    answered = sum(not node.unanswered for node in told.nodes)
    compared = sum(report.compared for _, report in _reports(told))
    where = f"{answered} {'node' if answered == 1 else 'nodes'} ({compared} things compared)"
    amiss = sum(each.number for _, report in _reports(told) for each in report.counts)
    mended = sum(finding.repaired for _, finding in rows)
    if repair and mended:
        return f"{mended} repaired, {amiss} amiss on {where}"
    return f"{amiss} amiss on {where}" if amiss else f"Nothing amiss on {where}"
