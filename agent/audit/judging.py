"""Judging what was seen. Pure."""

from collections.abc import Iterable, Sequence

from agent.runtime.seam import Observed
from covey import limits
from covey.model.audit import AuditReport, Finding, counts

from .known import Known
from .look import Look


def containers(known: Known, observed: Iterable[Observed]) -> Look:
    """Compare the tasks that have containers with the containers there are."""
    there = {each.id for each in observed}
    strays = sorted(there - known.tasks)
    gone = sorted(known.boxed - there - known.moving)
    return Look(
        len(there | known.boxed),
        (
            *(Finding("container", each, "belongs to no task of this node") for each in strays),
            *(Finding("container", each, "is gone, and its task does not know it") for each in gone),
        ),
    )


def standing(first: Look, second: Look) -> Look:
    """What both looks found: anything else was only under way."""
    before = {_what(each) for each in first.findings}
    return Look(
        second.compared,
        tuple(dict.fromkeys(each for each in second.findings if _what(each) in before)),
        tuple(dict.fromkeys(second.remarks)),
        tuple(dict.fromkeys(second.notes)),
    )


def report(found: Look, left: Look | None, known: Known, unused: tuple[int, int], now_ns: int) -> AuditReport:
    """Put a report together. `left` is what remained after a repair, None if there was none."""
    remains = found if left is None else left
    remaining = dict.fromkeys(remains.findings)
    still = {_what(each) for each in remaining}
    repaired = [each for each in found.findings if _what(each) not in still]
    findings = [
        *(Finding(each.kind, each.place, each.words, repaired=True) for each in repaired),
        *remaining,
    ]
    listed = _bounded(findings)
    return AuditReport(
        at_ns=now_ns,
        compared=remains.compared,
        findings=listed,
        counts=counts(remaining),
        omitted=len(findings) - len(listed),
        unused_images=unused[0],
        unused_image_bytes=unused[1],
        remarks=tuple(_short(each) for each in remains.remarks[: limits.audit_remarks_max]),
        task_ids=tuple(sorted(known.held))[: limits.audit_tasks_max],
        omitted_tasks=max(0, len(known.held) - limits.audit_tasks_max),
        notes=tuple(_short(each) for each in remains.notes[: limits.audit_remarks_max]),
    )


def _what(finding: Finding) -> tuple[str, str, str]:
    """What makes two findings the same: which processes run in a cgroup may be others at each look."""
    return finding.kind, finding.place, "" if finding.kind == "cgroup" else finding.words


def _bounded(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(
        Finding(each.kind, _short(each.place), _short(each.words), each.repaired)
        for each in findings[: limits.audit_findings_max]
    )


def _short(text: str) -> str:
    most = limits.audit_words_chars_max
    return text if len(text) <= most else text[: most - 1] + "…"
