"""What the core asks its driver to do, as data."""

from enum import Enum

from msgspec import Struct

from .entry import NOBODY, Entry, HardState, SnapshotMark
from .messages import AnyMessage


class Role(Enum):
    """What a member is at the moment."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


class Standing(Struct, frozen=True):
    """How this member stands. `first_index` is where a leader's own term begins in the log, 0 elsewhere."""

    term: int = 0
    role: Role = Role.FOLLOWER
    leader: int = NOBODY
    first_index: int = 0


class ReadAnswer(Struct, frozen=True):
    """What became of `Raft.read(key)`: apply up to `index`, then read; None: nobody could tell, ask again."""

    key: int
    index: int | None


class Ready(Struct, frozen=True):
    """What is to be done, in this order; then `Raft.advance()`.

    1. Send `messages`: they depend on nothing that is not on disk (a leader may replicate while it writes
       itself, thesis 10.2.1).
    2. Install `snapshot`, if any: make it durable, and forget the whole log.
    3. Make `hard_state` and `entries` durable in one transaction. `entries` replace everything at and after
       the first one's index.
    4. Send `replies`: promises (votes, acknowledgements) that rest on what was just written.
    5. Apply `committed`, in order; answer `reads`.
    """

    messages: tuple[AnyMessage, ...] = ()
    snapshot: SnapshotMark | None = None
    hard_state: HardState | None = None
    entries: tuple[Entry, ...] = ()
    replies: tuple[AnyMessage, ...] = ()
    committed: tuple[Entry, ...] = ()
    reads: tuple[ReadAnswer, ...] = ()
    standing: Standing | None = None  # if it has changed


class PeerStatus(Struct, frozen=True):
    """How a leader sees another member: `match` is what it holds for sure; `silent_ticks` since its last word."""

    id: int
    match: int
    silent_ticks: int
    snapshotting: bool = False


class Status(Struct, frozen=True):
    """How a member sees things, for people and for whoever decides on membership."""

    id: int
    standing: Standing
    commit: int
    last_index: int
    peers: tuple[PeerStatus, ...] = ()  # a leader's only
