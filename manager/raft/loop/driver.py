"""The loop of a member: see the package's page."""

import asyncio
import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any

from covey import errors, limits
from covey.errors import LogFailed, NotLeader

from ..core import Raft
from ..entry import NOBODY, Entry, EntryKind, Member, Membership, SnapshotMark
from ..messages import AnyMessage, Install
from ..ready import Ready, Role, Standing
from ..seam import Disk, Removed, Transport
from .proposals import Fate, Proposals
from .questions import Questions
from .stalls import Stalls
from .succession import successor

Waiter = asyncio.Future[None]
_log = logging.getLogger(__name__)
_DOUBT = "nobody knows whether the change was made; look before trying again"


class Loop:
    """Core, disk and transport of one member, and the loop between them. An `Inbox`."""

    def __init__(self, disk: Disk, transport: Transport, raft: Raft, own: Member) -> None:
        self.own, self.raft = own, raft
        self.stalls = Stalls()
        self.standing = Standing()
        self.applied = self.last_data = raft.log.handed
        self.installed = 0  # the index of the last snapshot that came from a leader
        self.full: errors.ResourceExhausted | None = None  # why nothing can be written just now
        self.ended = False
        self.failure: errors.CoveyError | None = None
        self.news = asyncio.Event()  # replaced at each change, so that all who wait hear of it
        self._disk, self._transport = disk, transport
        self._introduced = Membership()
        self._peers: tuple[Membership, Membership, Membership] | None = None  # as the transport was told
        self._proposals: Proposals[Waiter] = Proposals()
        self._questions = Questions()
        self._arriving: SnapshotMark | None = None  # a snapshot on its way in, or staged
        self._install_due = False
        self._streaming: set[int] = set()  # members that a snapshot is on its way to
        self._to_apply: tuple[Entry, ...] = ()
        self._begun = asyncio.Event()  # with the first work done, or held up for lack of room
        self._work = asyncio.Event()
        self._writing = self._flush_due = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def start(self, introduced: Membership) -> None:
        """Begin; what was known to be committed is applied when this returns, unless the disk is full."""
        self._transport.start(self.own, self)
        self.introduce(introduced)
        self._running = self._spawn(self._run())
        self._spawn(self._keep_time())
        await self._begun.wait()
        if self.failure is not None:
            raise self.failure

    async def stop(self) -> None:
        """End for good; what waits is told so."""
        self._stopping = True
        self.kick()
        if self._tasks:
            # A write that is under way is waited for: it ends or fails by itself.
            await asyncio.wait([self._running], timeout=limits.raft_stop_s)
        self.end(None)
        for task in (left := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    # --- what is asked of the member ---

    @property
    def membership(self) -> Membership:
        """The latest membership in the log; before there is one, that which the member was introduced to."""
        known = self.raft.membership
        return known if known.members else self._introduced

    def introduce(self, membership: Membership) -> None:
        """Say who the others are, to a member whose log does not know them (yet): one of them may lead."""
        self._introduced = membership
        self._tell_peers()

    async def outcome(self, term: int, indexes: range) -> None:
        """Wait until entries just appended are committed; raises what became of them otherwise."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._proposals.add(term, indexes, waiter)
        self.kick()
        await waiter

    async def ask(self) -> int | None:
        """Ask for a read index once; None if nobody could tell, or nobody answered in time."""
        self.refuse_if_ended()
        answer, key = self._questions.join()
        if key is not None:
            self.raft.read(key)
            self.kick()
        try:
            async with asyncio.timeout(limits.raft_read_retry_ms / 1000):
                return await asyncio.shield(answer)
        except TimeoutError:
            return None

    def refuse_if_ended(self) -> None:
        """Raise what ended the member."""
        if self.ended or self._stopping:
            raise self.failure or LogFailed("the log is closed: the manager is stopping")

    # --- what the transport delivers ---

    def receive(self, message: AnyMessage) -> None:
        """Take a message from a peer."""
        if self.ended:
            return
        try:
            self.raft.step(message)
        except errors.PeerFault as error:
            _log.warning("a message from member %s was refused: %s", message.sender, error)
        except Exception as error:  # noqa: BLE001 -- the transport can do nothing about it
            self._fail(error)
        self.kick()

    def lost(self, peer: int) -> None:
        """Hear that the connection to a peer has broken."""
        if not self.ended:
            self.raft.lost(peer)
            self.kick()

    def removed(self, reason: str) -> None:
        """Hear from a peer that this member was removed."""
        self.end(Removed(reason))

    async def stage(self, install: Install, chunks: AsyncIterable[bytes]) -> None:
        """Take a snapshot a leader sends."""
        self.refuse_if_ended()
        if self._arriving is not None:
            raise errors.Unavailable(f"another snapshot, at {self._arriving.index}, is on its way in")
        self._arriving = install.mark
        try:
            await self._disk.stage_snapshot(install.mark, chunks)
        except BaseException:
            self._arriving = None
            raise
        _log.info("a snapshot at index %s came from member %s", install.mark.index, install.sender)
        self._install_due = True
        self.receive(install)

    # --- the loop ---

    def kick(self) -> None:
        """See to what the core may want now."""
        self._work.set()
        if self._writing and not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Send what waits for no disk, while the disk is busy: a slow one delays no heartbeat."""
        self._flush_due = False
        if not self.ended:
            self._note()
            self._questions.leave()
            self._send(self.raft.take_messages())

    def _tell(self) -> None:
        self.news.set()
        self.news = asyncio.Event()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="covey-raft")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self) -> None:
        failure: errors.CoveyError | None = None
        try:
            while not (self._stopping or self.ended):
                self._work.clear()
                await self._carry_out()
                self._begun.set()
                await self._work.wait()
        except errors.CoveyError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 -- whatever it is, nobody may be left waiting
            self._fail(error)
        self.end(failure)

    def _fail(self, error: Exception) -> None:
        _log.exception("the member met something nobody foresaw")
        self.end(errors.Bug(f"replication failed: {error!r}"))

    async def _carry_out(self) -> None:
        """Do what the core wants done, until it wants nothing."""
        self._note()
        while self.raft.has_ready() and not (self._stopping or self.ended):
            self._questions.leave()
            await self._perform(self.raft.ready())
            self.raft.advance()
            self._note()
        if self._install_due:  # taken, or of no use
            self._install_due, self._arriving = False, None

    async def _perform(self, ready: Ready) -> None:
        """Carry out one `Ready`, in the order that it prescribes."""
        self._send(ready.messages)
        self._to_apply = ready.committed if ready.snapshot is None else ()
        self._writing = True
        try:
            state = ready.hard_state
            if (mark := ready.snapshot) is not None:
                await self._keep(lambda: self._disk.install_snapshot(mark, state))
                state = None
            if state is not None or ready.entries:
                await self._keep(lambda: self._disk.write(state, ready.entries))
        finally:
            self._writing = False
        if ready.replies:
            self._transport.send(ready.replies)
        if ready.snapshot is not None:
            self._take_over(ready.snapshot)
            self._to_apply = ready.committed
        self._apply()
        for answer in ready.reads:
            self._questions.answer(answer.key, answer.index)

    def _send(self, messages: Sequence[AnyMessage]) -> None:
        plain: list[AnyMessage] = []
        for message in messages:
            if not isinstance(message, Install):
                plain.append(message)
            elif message.to not in self._streaming:
                self._streaming.add(message.to)
                self._spawn(self._stream(message.to, message.term))
        if plain:
            self._transport.send(plain)

    async def _keep(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write, again and again while there is no room."""
        while True:
            try:
                await write()
                break
            except errors.ResourceExhausted as error:
                if self.full is None:
                    _log.error("nothing can be written, and no change is taken until that is over: %s", error)
                    self.full = error
                    self._apply()  # a majority holds it on disk, though we may not
                    self._begun.set()
                    self._proposals.limit(self._now_ms() + limits.raft_doubt_ms)
                self._push_away()
            if self._stopping:
                raise LogFailed("the log is closed: the manager is stopping, with a full disk")
            await asyncio.sleep(limits.raft_full_disk_pause_ms / 1000)
        if self.full is not None:
            _log.info("there is room again, and changes are taken")
            self.full = None
            self._proposals.unlimit()

    def _apply(self) -> None:
        entries, self._to_apply = self._to_apply, ()
        if not entries:
            return
        self.applied = entries[-1].index
        for entry in reversed(entries):
            if entry.kind is EntryKind.DATA:
                self.last_data = entry.index
                break
        self._settle(self._proposals.committed(entries))
        self._tell()
        if self.own.id in self.raft.committed_membership.removed:
            self.end(Removed(f"this manager (member {self.own.id}) was removed from the cluster's managers"))

    def _take_over(self, mark: SnapshotMark) -> None:
        self.installed = self.applied = self.last_data = mark.index
        self._settle(self._proposals.skipped())
        self._tell()

    def _settle(self, decided: Iterable[tuple[Waiter, Fate]]) -> None:
        for waiter, fate in decided:
            if waiter.done():
                continue
            match fate:
                case Fate.KEPT:
                    waiter.set_result(None)
                case Fate.DROPPED:
                    waiter.set_exception(NotLeader("another manager took the lead; nothing was written"))
                case Fate.TORN | Fate.UNKNOWN:
                    waiter.set_exception(errors.Unavailable(f"this manager lost the lead: {_DOUBT}"))

    def _note(self) -> None:
        """Look what has changed in the core, whether it has had a `Ready` since or not."""
        self._tell_peers()
        standing = self.raft.standing
        if standing == self.standing:
            return
        led, leads = self.standing.role is Role.LEADER, standing.role is Role.LEADER
        self.standing = standing
        if led and not leads:
            self._proposals.limit(self._now_ms() + limits.raft_doubt_ms)
        elif leads and self.full is None:
            self._proposals.unlimit()
        if leads or led:
            _log.info(
                "member %s %s in term %s", self.own.id, "leads" if leads else "leads no more", standing.term
            )
        self._tell()

    def _tell_peers(self) -> None:
        """Tell the transport who the others are: one that is to go must be heard until that is committed."""
        latest, committed = self.membership, self.raft.committed_membership
        told = latest, committed, self._introduced
        if self._peers is not None and all(a is b for a, b in zip(told, self._peers, strict=True)):
            return
        self._peers = told
        removed = {*committed.removed, *latest.removed}
        members = {member.id: member for member in self._introduced.members if member.id not in removed}
        members.update({member.id: member for member in (*committed.members, *latest.members)})
        members.pop(self.own.id, None)
        self._transport.set_peers(list(members.values()), committed.removed)
        self._tell()

    async def _stream(self, to: int, term: int) -> None:
        """Send our newest snapshot to a member that is too far behind."""
        arrived = False
        try:
            found = await self._disk.newest_snapshot()
            if found is None:
                raise errors.Corrupt("there is no sound snapshot to send")
            await self._transport.send_snapshot(to, term, found)
            arrived = True
        except (errors.CoveyError, OSError) as error:
            _log.warning("a snapshot for member %s did not arrive: %s", to, error)
        finally:
            self._streaming.discard(to)  # first: the core may want another one sent at once
            if not self.ended:
                self.raft.snapshot_sent(to, arrived)
                self.kick()

    # --- time ---

    async def _keep_time(self) -> None:
        loop = asyncio.get_running_loop()
        period = limits.raft_tick_ms / 1000
        due = loop.time() + period
        while True:
            await asyncio.sleep(due - loop.time())
            late_ms = int((loop.time() - due) * 1000)
            if self.stalls.note(late_ms):
                _log.warning("this manager was held up for %s ms", late_ms)
            if late_ms >= limits.raft_tick_ms:
                # However late, it counts once; and what came in meanwhile is heard first.
                await asyncio.sleep(limits.raft_stall_settle_ms / 1000)
            self.raft.tick()
            self._note()
            self._settle(self._proposals.expired(self._now_ms()))
            self.kick()
            due = max(due + period, loop.time() + period / 2)

    def _now_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)

    # --- leaving the lead, and the end ---

    def successor(self) -> int:
        """Find who could lead in our place."""
        return successor(self.raft.status(), self.raft.membership.voters)

    def _push_away(self) -> None:
        """Have another member lead, if one can."""
        if self.raft.standing.role is Role.LEADER and (to := self.successor()) != NOBODY:
            self.raft.transfer(to)
            self.kick()

    def end(self, failure: errors.CoveyError | None) -> None:
        """Take part no more; whoever waits is told why. The first word counts."""
        if self.ended:
            return
        self.ended, self.failure = True, failure
        self.standing = Standing()
        if failure is not None:
            _log.error("member %s takes part no more: %s", self.own.id, failure)
        ending = failure or LogFailed(f"the log is closed: the manager is stopping; {_DOUBT}")
        for waiter, _ in self._proposals.skipped():
            if not waiter.done():
                waiter.set_exception(ending)
                waiter.exception()  # asked for here: whoever waited may have given up
        self._questions.end(ending)
        self._begun.set()
        self.kick()
        self._tell()
