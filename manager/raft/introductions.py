"""Who may talk to a member: what is checked before a stream is taken, and the sentences that refuse it."""

from collections.abc import Collection, Mapping

from msgspec import Struct

from covey.errors import FailedPrecondition, PermissionDenied, Unavailable

from .entry import Member

FORMAT = 1  # of messages and snapshots on the wire


class Introduction(Struct, frozen=True):
    """What the other side says of itself, and whom it wants; `node_id` is what its certificate proves."""

    cluster_id: str
    sender: int
    receiver: int
    node_id: str
    format: int = FORMAT


class Acquaintances(Struct):
    """Whom a member knows: itself, the others by id, and those that were removed."""

    cluster_id: str
    own: Member
    others: Mapping[int, Member]
    removed: Collection[int] = ()

    def check(self, met: Introduction) -> None:
        """Raise, with a sentence for the other side's journal, unless it is the member it says it is."""
        own = self.own
        if met.cluster_id != self.cluster_id:
            raise FailedPrecondition(
                f"this is a manager of cluster {self.cluster_id}, and you are one of {met.cluster_id}: another "
                "cluster's state was copied, or the address is another's now"
            )
        if met.format != FORMAT:
            older = "yours" if met.format < FORMAT else "this one"
            raise FailedPrecondition(
                f"managers that replicate in formats {FORMAT} (here) and {met.format} (you) cannot work together; "
                f"upgrade {older}"
            )
        if met.sender == own.id:
            raise FailedPrecondition(
                f"two managers run with member id {own.id}, one of them on a copy of the other's state: stop one, "
                "delete its STATE/manager, and let it join again"
            )
        if met.receiver != own.id:
            raise FailedPrecondition(
                f"member {met.receiver} is wanted, and {own.address} is member {own.id} now: that one lost its "
                "log and has joined anew, or another manager took its address"
            )
        member = self.others.get(met.sender)
        if member is None:
            raise Unavailable(f"member {met.sender} is not known here (yet)")
        if member.node_id and member.node_id != met.node_id:
            raise PermissionDenied(
                f"member {met.sender} is node {member.node_id}, and the certificate shown is node {met.node_id}'s"
            )
