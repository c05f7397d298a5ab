"""A transport within one process, for tests: the network is an object that can be cut."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence

from covey import errors

from .. import messages
from ..entry import Member
from ..messages import AnyMessage, Install
from ..seam import Inbox, SavedSnapshot


class Network:
    """Who is there, and which ways are cut. Messages go through their bytes, as on a wire."""

    def __init__(self) -> None:
        self.members: dict[int, LoopbackTransport] = {}
        self.cut: set[tuple[int, int]] = set()  # (from, to)
        self.snapshots_sent = 0

    def part(self, *groups: Collection[int]) -> None:
        """Let members hear only those of their own group; nobody hears of a broken connection."""
        ids = [id for group in groups for id in group]
        together = {(a, b) for group in groups for a in group for b in group}
        self.cut = {(a, b) for a in ids for b in ids} - together

    def heal(self) -> None:
        """Mend every way."""
        self.cut = set()

    def reaches(self, sender: int, to: int) -> bool:
        """Whether what `sender` says gets to `to`."""
        return to in self.members and (sender, to) not in self.cut


class LoopbackTransport:
    """A `Transport` on a `Network`."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._peers: dict[int, Member] = {}
        self.own: Member | None = None
        self.inbox: Inbox | None = None
        self.removed: frozenset[int] = frozenset()

    def start(self, own: Member, inbox: Inbox) -> None:
        """Begin to deliver."""
        self.own, self.inbox = own, inbox
        self._network.members[own.id] = self

    def set_peers(self, members: Sequence[Member], removed: Collection[int] = ()) -> None:
        """Learn who the others are."""
        self._peers = {member.id: member for member in members}
        self.removed = frozenset(removed)

    def send(self, messages: Sequence[AnyMessage]) -> None:
        """Deliver in the loop's next turn, unless the way is cut."""
        loop = asyncio.get_running_loop()
        for message in messages:
            if message.to in self._peers and self._network.reaches(message.sender, message.to):
                loop.call_soon(self._deliver, message)

    def _deliver(self, message: AnyMessage) -> None:
        receiver = self._network.members.get(message.to)
        if receiver is None or receiver.inbox is None:
            return
        if message.sender in receiver._peers:
            for copy in messages.decode(messages.encode([message])):
                receiver.inbox.receive(copy)
        elif message.sender in receiver.removed and self.inbox is not None:
            self.inbox.removed(f"member {message.sender} was removed from the cluster's managers")

    async def send_snapshot(self, to: int, term: int, snapshot: SavedSnapshot) -> None:
        """Hand a snapshot over, chunk by chunk."""
        assert self.own is not None, "started"
        receiver = self._network.members.get(to)
        if receiver is None or receiver.inbox is None or not self._network.reaches(self.own.id, to):
            raise errors.Unavailable(f"member {to} cannot be reached")
        install = Install(sender=self.own.id, to=to, term=term, mark=snapshot.mark)
        await receiver.inbox.stage(install, self._chunks(to, snapshot.chunks))
        self._network.snapshots_sent += 1

    async def _chunks(self, to: int, chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
        assert self.own is not None, "started"
        for chunk in chunks:
            await asyncio.sleep(0)
            if not self._network.reaches(self.own.id, to):
                raise errors.Unavailable("the way was cut while a snapshot was under way")
            yield chunk

    async def close(self) -> None:
        """Go; the others hear of it."""
        if self.own is None:
            return
        if self._network.members.pop(self.own.id, None) is not None:
            for other in list(self._network.members.values()):
                if other.inbox is not None and self._network.reaches(
                    self.own.id, other.own.id if other.own else 0
                ):
                    other.inbox.lost(self.own.id)
