"""Looking, now and then, for what on this host would break the networks.

Once is not enough: other programs come later (a container engine whose firewall drops what is forwarded, a
VPN with its routes), and so do networks. What the kernel can do does not change, so that is tried out once.
"""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from subprocess import SubprocessError

from ..probe import Finding, Severity, findings
from .survey import survey

_log = logging.getLogger(__name__)


class Lookout:
    """Says each thing once, and again if it went and came back. `subnets` are the cluster's, as known now."""

    def __init__(self, scratch: Path, vxlan_port: int, subnets: Callable[[], Iterable[str]]) -> None:
        self._scratch = scratch
        self._vxlan_port = vxlan_port
        self._subnets = subnets
        self._told: set[Finding] = set()
        self.remarks: tuple[str, ...] = ()  # of the last look, for people who look at the node
        self._missing: dict[str, str] | None = None
        self._failed = ""

    def look(self) -> None:
        """Look, and say what is new. Blocks for some milliseconds."""
        try:
            seen = survey(self._scratch, self._vxlan_port, self._missing)
        except (OSError, SubprocessError) as error:
            if str(error) != self._failed:
                _log.warning("cannot look for what would break the networks: %s", error)
            self._failed = str(error)
            return
        self._missing, self._failed = seen.missing, ""
        found = findings(seen, self._subnets(), self._vxlan_port)
        for finding in found:
            if finding not in self._told:
                tell(finding)
        self._told = set(found)
        self.remarks = tuple(str(finding) for finding in found)


def tell(finding: Finding) -> None:
    """Write a finding to the log."""
    level = logging.ERROR if finding.severity is Severity.ERROR else logging.WARNING
    _log.log(level, "%s: %s", finding.subject, finding.text)
