"""What travels beside a call's messages: whether old data will do, how old it is, and for whom a call is passed on.

`covey-caller-*` is believed from managers only (see `callers`). `covey-user` is believed from nobody: it only says
in a service's history, in brackets, who was at the keyboard.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from covey import limits

from .service import Caller

READ: Final = "covey-read"
STALE: Final = "stale"
AGE_MS: Final = "covey-age-ms"  # how long ago the answering manager last knew that it was up to date
INDEX: Final = "covey-index"
CALLER_ROLE: Final = "covey-caller-role"
CALLER_NODE: Final = "covey-caller-node"
CALLER_HOST: Final = "covey-caller-host"
USER: Final = "covey-user"

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


def said_by(user: str) -> Pairs:
    """Say who is at the keyboard; nothing if nobody is named."""
    name = _plain(user)
    return ((USER, name),) if name else ()


def user_of(beside: Mapping[str, str]) -> str:
    """Read who is at the keyboard, as far as it can be shown."""
    return _plain(beside.get(USER, ""))


def _plain(user: str) -> str:
    """Keep what any terminal can show, and gRPC can carry."""
    return "".join(char for char in user if "!" <= char <= "~")[: limits.user_chars_max]


def on_behalf_of(caller: Caller) -> Pairs:
    """Say for whom a call is passed on."""
    stale = ((READ, STALE),) if caller.stale else ()
    return (
        (CALLER_ROLE, caller.role.value),
        (CALLER_NODE, caller.node_id),
        (CALLER_HOST, caller.host),
        *said_by(caller.user),
        *stale,
    )
