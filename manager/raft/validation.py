"""Messages that no member would send are refused before anything changes."""

from collections.abc import Callable
from typing import Any

import msgspec

from covey import errors

from .entry import EntryKind
from .local import Local
from .membership import decode_membership
from .messages import (
    AnyMessage,
    Append,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    Install,
    ReadReply,
    Vote,
)
from .ready import Role


def check_message(message: AnyMessage, local: Local) -> None:
    """Raise `PeerFault` if a message contradicts itself, or what our own log says of it."""
    if message.sender <= 0 or message.term < 0:
        raise _fault(message, f"has sender {message.sender} and term {message.term}")
    if message.sender == local.id:
        raise _fault(
            message, "comes from a member with our own id: two managers share one log directory's copy"
        )
    check = _CHECKS.get(type(message))
    if check is not None:
        check(message, local)


def _check_append(message: Append, _: Local) -> None:
    index, term = message.previous_index, message.previous_term
    if index < 0 or term < 0 or message.commit < 0 or (index == 0) != (term == 0):
        raise _fault(message, f"follows entry {index} of term {term}, commits {message.commit}")
    for entry in message.entries:
        index += 1
        if entry.index != index or entry.term < term:
            raise _fault(
                message, f"has entry {entry.index} of term {entry.term} where {index} follows, term {term}"
            )
        term = entry.term
        if entry.kind is EntryKind.MEMBERSHIP:
            try:
                decode_membership(entry.data)
            except msgspec.MsgspecError as error:
                raise _fault(message, f"has no membership in entry {entry.index}: {error}") from error
    if term > message.term:
        raise _fault(message, f"has an entry of term {term}, after its own {message.term}")


def _check_append_reply(message: AppendReply, local: Local) -> None:
    if message.index < 0 or message.hint_index < 0 or message.hint_term < 0:
        raise _fault(message, "has a negative number")
    # One that no longer leads may have lost, in a crash, what it had sent before it was on its disk.
    leads = local.role is Role.LEADER and message.term == local.term
    if leads and message.index > local.log.last_index:
        raise _fault(message, f"speaks of entry {message.index}; the last is {local.log.last_index}")


def _check_heartbeat(message: Heartbeat, local: Local) -> None:
    if message.commit < 0 or message.read < 0:
        raise _fault(message, "has a negative number")
    if message.term >= local.term and message.commit > local.log.last_index:
        raise _fault(
            message,
            f"says that we hold entry {message.commit}, but our log ends at {local.log.last_index}: it was"
            " lost or replaced by an old copy; remove this manager, and let it join anew",
        )


def _check_heartbeat_reply(message: HeartbeatReply, _: Local) -> None:
    if message.read < 0:
        raise _fault(message, "has a negative number")


def _check_vote(message: Vote, _: Local) -> None:
    if min(message.last_index, message.last_term) < 0 or message.last_term >= message.term:
        raise _fault(message, f"stands in term {message.term} with a log of term {message.last_term}")


def _check_install(message: Install, _: Local) -> None:
    if message.mark.index <= 0 or not 0 <= message.mark.term <= message.term:
        raise _fault(message, f"has a snapshot of entry {message.mark.index}, term {message.mark.term}")


def _check_read_reply(message: ReadReply, _: Local) -> None:
    if message.index is not None and message.index < 0:
        raise _fault(message, "has a negative number")


_CHECKS: dict[type, Callable[[Any, Local], None]] = {
    Append: _check_append,
    AppendReply: _check_append_reply,
    Heartbeat: _check_heartbeat,
    HeartbeatReply: _check_heartbeat_reply,
    Vote: _check_vote,
    Install: _check_install,
    ReadReply: _check_read_reply,
}


def _fault(message: AnyMessage, what: str) -> errors.PeerFault:
    return errors.PeerFault(f"{type(message).__name__} from member {message.sender}: it {what}")
