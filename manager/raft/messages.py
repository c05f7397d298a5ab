"""What members say to each other. Frozen data; the transport carries them as msgpack.

Every message names its `sender`, whom it is `to`, and the sender's `term` (for a pre-vote, the term it
would stand in).
"""

import msgspec
from msgspec import Struct

from .entry import Entry, SnapshotMark


class Message(Struct, frozen=True, array_like=True, tag=True, kw_only=True):
    """What all messages have."""

    sender: int
    to: int
    term: int


class Vote(Message, frozen=True, array_like=True, tag=1):
    """RequestVote (section 5.2, 5.4.1).

    `pre`: only asking whether a vote would be given (thesis 9.6); nobody's term changes by it.
    `transfer`: the leader asked for this election, so it must not be held against the candidate that the
    voter has heard from a leader just now (thesis 3.10, 4.2.3).
    """

    last_index: int
    last_term: int
    pre: bool = False
    transfer: bool = False


class VoteReply(Message, frozen=True, array_like=True, tag=2):
    """The answer to a `Vote`; for a granted pre-vote, `term` is the one asked for."""

    granted: bool
    pre: bool = False


class Append(Message, frozen=True, array_like=True, tag=3):
    """AppendEntries (section 5.3). `previous_*` name the entry just before `entries`."""

    previous_index: int
    previous_term: int
    commit: int
    entries: tuple[Entry, ...] = ()


class AppendReply(Message, frozen=True, array_like=True, tag=4):
    """The answer to `Append` and `Install`.

    Taken: `index` is the last index known to agree with the leader's log, on the follower's disk. Rejected:
    `index` is the `previous_index` refused, and `hint_index`/`hint_term` where the leader should look next
    (section 5.3, "optimized to reduce the number of rejected AppendEntries").
    """

    index: int
    rejected: bool = False
    hint_index: int = 0
    hint_term: int = 0


class Heartbeat(Message, frozen=True, array_like=True, tag=5):
    """A sign of life. `commit` is at most what the receiver is known to hold; `read` numbers a read round."""

    commit: int
    read: int = 0


class HeartbeatReply(Message, frozen=True, array_like=True, tag=6):
    """The answer, with the same `read`."""

    read: int = 0


class Install(Message, frozen=True, array_like=True, tag=7):
    """InstallSnapshot (section 7): given to the core once the transport has the whole snapshot staged."""

    mark: SnapshotMark


class TimeoutNow(Message, frozen=True, array_like=True, tag=8):
    """Stand for election at once: leadership is being handed over (thesis 3.10)."""


class ReadRequest(Message, frozen=True, array_like=True, tag=9):
    """A follower asks up to where it must have applied before it may read (thesis 6.4); `key` is its own."""

    key: int


class ReadReply(Message, frozen=True, array_like=True, tag=10):
    """The answer: `index`, or None if this member cannot tell (it leads no more)."""

    key: int
    index: int | None


AnyMessage = (
    Vote
    | VoteReply
    | Append
    | AppendReply
    | Heartbeat
    | HeartbeatReply
    | Install
    | TimeoutNow
    | ReadRequest
    | ReadReply
)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[AnyMessage])


def encode(messages: list[AnyMessage]) -> bytes:
    """Give the bytes of messages that travel together."""
    return _encoder.encode(messages)


def decode(data: bytes) -> list[AnyMessage]:
    """Read them back; raises `msgspec.DecodeError`, `msgspec.ValidationError`."""
    return _decoder.decode(data)
