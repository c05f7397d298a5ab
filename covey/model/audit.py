"""Audits: what a node or the managers found when they compared what should be with what is."""

from collections import Counter
from collections.abc import Iterable

from covey.model.objects import AuditCount, AuditSummary, Part


class Finding(Part, frozen=True):
    """One thing that is not as it should be.

    `kind` is what sort of thing (`address`, `rule`, `mount`), `place` where (a namespace, a task, a path), `words`
    what is wrong with it. `repaired`: it was put right in this audit.
    """

    kind: str = ""
    place: str = ""
    words: str = ""
    repaired: bool = False


class AuditReport(Part, frozen=True):
    """The outcome of one audit.

    `compared` is how many things were looked at. Findings are bounded: `counts` has all that remain, by kind,
    `omitted` says how many are not listed. Of a node, `remarks` say what could not be looked at, `task_ids` are those
    it is to have (`omitted_tasks` more are not listed), and images that no task of it uses are counted, which is no
    fault. `notes` say what is no fault either, and worth knowing.
    """

    at_ns: int = 0
    compared: int = 0
    findings: tuple[Finding, ...] = ()
    counts: tuple[AuditCount, ...] = ()
    omitted: int = 0
    unused_images: int = 0
    unused_image_bytes: int = 0
    remarks: tuple[str, ...] = ()
    task_ids: tuple[str, ...] = ()
    omitted_tasks: int = 0
    notes: tuple[str, ...] = ()


def counts(findings: Iterable[Finding]) -> tuple[AuditCount, ...]:
    """How many there are of each kind, in the order of kinds."""
    return tuple(AuditCount(*each) for each in sorted(Counter(f.kind for f in findings).items()))


def summary(told: AuditReport) -> AuditSummary:
    """What is kept of an audit, and shown to whoever asks later."""
    return AuditSummary(told.at_ns, told.compared, told.counts, told.unused_images, told.unused_image_bytes)
