"""Looking, now and then, for what on this host would break the networks.

Once is not enough: other programs come later (a container engine whose firewall drops what is forwarded, a
VPN with its routes), and so do networks. What the kernel can do does not change, so that is tried out once.

Firewalls that are loaded anew begin with removing all tables there are, whosever they be. So it is looked oftener
whether ours stand.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import SubprocessError

from covey import limits
from covey.errors import CoveyError
from covey.model.quantity import rounded

from ..firewall import Family
from ..probe import (
    Finding,
    Known,
    Severity,
    Survey,
    crowded,
    findings,
    forged,
    lost,
    smaller,
    strangers,
)
from ..state import NODE, Netns
from . import dump, neighbours
from .nftables import counting, readback
from .observe import filtered, interfaces
from .places import Places
from .survey import survey
from .sweeping import InTurn

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Tally:
    """A count that goes on where tables that are made anew begin again."""

    total: int = 0
    standing: int = 0  # what the table says that stands
    grew_s: float = 0.0  # when it last did

    def add(self, counted: int, now_s: float) -> None:
        """Take up what the standing table has counted."""
        if more := counted - (self.standing if counted >= self.standing else 0):
            self.grew_s = now_s
        self.total += more
        self.standing = counted

    def recent(self, now_s: float) -> bool:
        """Tell whether it grew lately."""
        return self.total > 0 and now_s - self.grew_s < limits.dropped_named_s


class Lookout:
    """Says each thing once, and again if it went and came back.

    `known` is what the cluster wants, as of now, and `made` what has been made of it, by namespace. `seen` is told
    what interfaces there are, of which families bridged frames are filtered, and whether tables are gone.
    """

    def __init__(
        self,
        scratch: Path,
        places: Places,
        vxlan_port: int,
        known: Callable[[], Known],
        made: Callable[[], Mapping[str, Netns]],
        seen: Callable[[frozenset[str], frozenset[Family], bool], None],
    ) -> None:
        self._scratch = scratch
        self._places = places
        self._vxlan_port = vxlan_port
        self._known = known
        self._made = made
        self._seen = seen
        self._dropped, self._forged = Tally(), Tally()  # packets of strangers, and of tasks here
        self._soon = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._told: set[Finding] = set()
        self.remarks: tuple[str, ...] = ()  # of the last look, for people who look at the node
        self.interfaces: tuple[str, ...] = ()  # of the last look
        self._missing: dict[str, str] | None = None
        self._failed = ""

    def start(self, in_turn: InTurn) -> None:
        """Look from now on, at the latest after a while each time."""
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look_on(in_turn))

    def soon(self) -> None:
        """Look soon: there is something new that may be in the way of others, or they in its."""
        self._soon.set()

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def _look_on(self, in_turn: InTurn) -> None:
        loop, due_s = asyncio.get_running_loop(), 0.0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(limits.firewall_look_s):
                    await self._soon.wait()
            if self._soon.is_set() or loop.time() >= due_s:
                self._soon.clear()
                await in_turn(self.look)
                due_s = loop.time() + limits.network_look_s
            elif self._ours():
                await in_turn(self.look_for_tables)

    def _ours(self) -> set[str]:
        return set(self._made().get(NODE, Netns()).tables)

    def look_for_tables(self) -> None:
        """Have the tables that somebody removed put back. Blocks for a moment."""
        try:
            there = {name for _, name in readback.standing(self._places.filtering(NODE))}
        except OSError as error:
            _log.warning("cannot look whether the firewall's tables stand: %s", error)
            return
        if gone := sorted(self._ours() - there):
            _log.warning("somebody removed %s from this host's firewall: put back", ", ".join(gone))
            self._tell(frozenset(self.interfaces), filtered(), flushed=True)

    def look(self) -> None:
        """Look, and say what is new. Blocks for some milliseconds."""
        try:
            seen = survey(self._scratch, self._vxlan_port, self._missing)
            there = interfaces(self._places)
            self.interfaces = tuple(sorted(there))
            found = [*self._judge(seen), *self._strangers(), *_crowded()]
        except (OSError, SubprocessError) as error:
            if str(error) != self._failed:
                _log.warning("cannot look for what would break the networks: %s", error)
            self._failed = str(error)
            return
        self._missing, self._failed = seen.missing, ""
        for finding in found:
            if finding not in self._told:
                tell(finding)
        self._told = set(found)
        self.remarks = tuple(str(finding) for finding in found)
        self._tell(there, filtered())

    def _tell(self, there: frozenset[str], families: frozenset[Family], *, flushed: bool = False) -> None:
        try:
            self._seen(there, families, flushed)
        except CoveyError as error:
            _log.warning("networks do not follow what has changed on this host: %s", error)

    def _judge(self, seen: Survey) -> list[Finding]:
        known = self._known()
        found = findings(seen, known.subnets, self._vxlan_port, known.ingress)
        found += [lost(name, net) for name, net in known.parents.items() if name not in self.interfaces]
        link_mtu = dump.mtu_of(self._places.routing(NODE), known.vtep) if known.mtu else 0
        return [*found, smaller(link_mtu, known.mtu)] if 0 < link_mtu < known.mtu else found

    def _strangers(self) -> list[Finding]:
        """VXLAN packets that were dropped, as long as somebody sent some lately: a table made anew counts anew."""
        found = counting.strangers(self._places.filtering(NODE))
        said, now_s = [], time.monotonic()
        self._dropped.add(found.packets, now_s)
        self._forged.add(found.forged, now_s)
        if found.senders:
            said.append(strangers(rounded(self._dropped.total), found.senders))
        if self._forged.recent(now_s):
            said.append(forged(rounded(self._forged.total)))
        return said


def _crowded() -> list[Finding]:
    """Make room for neighbours; a remark if that is denied. Each time, for other programs set it, too."""
    denied = neighbours.make_room()
    return [crowded(denied)] if denied else []


def tell(finding: Finding) -> None:
    """Write a finding to the log."""
    level = logging.ERROR if finding.severity is Severity.ERROR else logging.WARNING
    _log.log(level, "%s: %s", finding.subject, finding.text)
