"""Snapshots: for whom the log no longer reaches back (section 7, figure 13)."""

from .local import Local
from .messages import AppendReply, Install
from .progress import Progress


def begin_snapshot(local: Local, peer: Progress) -> None:
    """Have our newest snapshot sent to a member.

    The message asks our driver to; the transport delivers it to the other core once the whole snapshot is
    there. It may be a newer one by then.
    """
    mark = local.snapshot
    peer.await_snapshot(mark.index)
    local.out.send(Install(sender=local.id, to=peer.id, term=local.term, mark=mark))


def install(local: Local, message: Install) -> None:
    """Take a leader's snapshot (figure 13, 6 to 8), unless we hold as much."""
    mark, log = message.mark, local.log
    if mark.index > log.commit:
        if log.term_at(mark.index) == mark.term:
            # We hold the entry, so all before it: keep what follows it (figure 13, 6).
            log.commit_to(mark.index)
        else:
            local.restore(mark)
    local.out.promise(AppendReply(sender=local.id, to=message.sender, term=local.term, index=log.commit))
