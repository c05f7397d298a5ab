"""What a follower does with its leader's messages (figure 2, AppendEntries, receiver)."""

from covey import errors

from .local import Local
from .messages import Append, AppendReply, Heartbeat, HeartbeatReply, Install


def take_append(local: Local, message: Append) -> None:
    """Take entries if our log agrees with the leader's before them; else say where it may."""
    log = local.log
    previous, entries = message.previous_index, message.entries
    through = previous + len(entries)
    if previous < log.commit:
        # An old message, or a leader that does not know us yet: what is committed agrees (section 5.4).
        entries = entries[log.commit - previous :]
        through = max(through, log.commit)
    elif log.term_at(previous) != message.previous_term:
        reject(local, message)
        return
    new = entries[log.first_new(entries) :]
    if new:
        local.replace_from(new)
    log.commit_to(min(message.commit, through))
    reply = AppendReply(sender=local.id, to=message.sender, term=local.term, index=through)
    if through <= log.durable:
        local.say(reply)
    else:
        local.out.promise(reply)


def reject(local: Local, message: Append) -> None:
    """Refuse; the hint skips all places that cannot agree (section 5.3, a conflicting term at a time)."""
    index, term = local.log.last_with_term(message.previous_index, message.previous_term)
    reply = AppendReply(
        sender=local.id,
        to=message.sender,
        term=local.term,
        index=message.previous_index,
        rejected=True,
        hint_index=index,
        hint_term=term,
    )
    local.say(reply)


def take_heartbeat(local: Local, message: Heartbeat) -> None:
    """Hear that the leader lives, and what is committed of what we hold."""
    local.log.commit_to(message.commit)
    local.say(HeartbeatReply(sender=local.id, to=message.sender, term=local.term, read=message.read))


def check_agreement(local: Local, message: Append | Heartbeat | Install) -> None:
    """See that the message leaves alone what is committed; raises `PeerFault`.

    That it does is what Raft promises (leader completeness): if not, the other one has lost its log, has been
    given a copy of another's, or belongs to another cluster.
    """
    log = local.log
    places: list[tuple[int, int]] = []
    if isinstance(message, Install):
        places.append((message.mark.index, message.mark.term))
    elif isinstance(message, Append) and message.previous_index <= log.commit:
        places.append((message.previous_index, message.previous_term))
        if overlap := min(log.commit - message.previous_index, len(message.entries)):
            last = message.entries[overlap - 1]
            places.append((last.index, last.term))
    for index, term in places:
        known = log.term_at(index) if index <= log.commit else None
        if known is not None and known != term:
            raise errors.PeerFault(
                f"member {message.sender} contradicts entry {index}, which is committed: term {term}, not {known};"
                " it has another cluster's log or an old copy: remove it, and let it join anew"
            )
