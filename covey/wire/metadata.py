"""What travels beside a call's messages: whether old data will do, how old it is, and for whom a call is passed on.

`covey-caller-*` is believed from managers only (see `callers`).
"""

from dataclasses import dataclass, field
from typing import Final

from .service import Caller

READ: Final = "covey-read"
STALE: Final = "stale"
AGE_MS: Final = "covey-age-ms"  # how long ago the answering manager last knew that it was up to date
INDEX: Final = "covey-index"
CALLER_ROLE: Final = "covey-caller-role"
CALLER_NODE: Final = "covey-caller-node"
CALLER_HOST: Final = "covey-caller-host"

Pairs = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Metadata:
    """What goes with calls (`sent`), and what came back with the last one that ended (`received`)."""

    sent: Pairs = ()
    received: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def age_ms(self) -> int | None:
        """How old what was read may be at most, since the manager knew it was up to date; None: it is current.

        -1: the manager has never been up to date since it started.
        """
        found = self.received.get(AGE_MS)
        return None if found is None else int(found)


def stale_reads() -> Metadata:
    """Ask that reads be answered at once by the manager that is asked, however old what it knows."""
    return Metadata(((READ, STALE),))


def on_behalf_of(caller: Caller) -> Pairs:
    """Say for whom a call is passed on."""
    stale = ((READ, STALE),) if caller.stale else ()
    return (
        (CALLER_ROLE, caller.role.value),
        (CALLER_NODE, caller.node_id),
        (CALLER_HOST, caller.host),
        *stale,
    )
