"""What one part of the node saw when it looked at itself."""

from collections.abc import Iterable
from dataclasses import dataclass

from covey.model.audit import Finding


@dataclass(frozen=True, slots=True)
class Look:
    """`compared` things were looked at; `remarks` say what could not be, `notes` what is no fault but worth knowing."""

    compared: int = 0
    findings: tuple[Finding, ...] = ()
    remarks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def together(looks: Iterable[Look]) -> Look:
    """One look of many."""
    parts = tuple(looks)
    return Look(
        sum(each.compared for each in parts),
        tuple(finding for each in parts for finding in each.findings),
        tuple(remark for each in parts for remark in each.remarks),
        tuple(note for each in parts for note in each.notes),
    )
