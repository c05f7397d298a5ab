"""A manager's part among the managers: a lease, under which it registers itself and, if nobody else does, leads.

Everything known here is known for as long as the lease is good: whoever has not heard from etcd for that long knows
of no leader, and leads least of all.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from covey import limits
from covey.errors import CoveyError

from .. import layout
from ..layout import Head, Layout, Who
from .client import Compacted, Etcd, Stream, first
from .watching import watch

log = logging.getLogger(__name__)


class Won(Struct, frozen=True):
    """Leadership, from the revision that made it a term; `head` is what the log ended with then."""

    term: int
    head: Head


class Place(Struct, frozen=True):
    """A key below who/, as it is now; `value` is None once it is gone."""

    value: Who | None
    made: int
    changed: int
    lease: int


class Owner(Protocol):
    """Who is told, in the breath in which it changes."""

    def won(self, won: Won) -> None:
        """This manager leads."""
        ...

    def lost(self) -> None:
        """It does not any more."""
        ...

    def tell(self) -> None:
        """Something changed of who leads."""
        ...


class Session:
    """Registers, campaigns, and knows who leads."""

    def __init__(self, etcd: Etcd, keys: Layout, own: Who, owner: Owner) -> None:
        self._etcd = etcd
        self._keys = keys
        self._own = own
        self._owner = owner
        self._places: dict[bytes, Place] = {}
        self._lease = 0
        self._good_until_s = 0.0
        self._heard_s: float | None = None
        self._won: Won | None = None
        self._term = 0
        self._stands = True
        self._campaigning = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._told: dict[str, str] = {}

    # --- what is known ---

    @property
    def in_contact(self) -> bool:
        """Whether this manager's lease is good, by its own clock."""
        return time.monotonic() < self._good_until_s

    @property
    def leading(self) -> Won | None:
        """The leadership this manager has."""
        return self._won if self.in_contact else None

    @property
    def leader(self) -> Who | None:
        """Who leads; None if that is not known, or nobody does."""
        place = self._places.get(self._keys.leader)
        return place.value if place is not None and self.in_contact and place.lease != self._lease else None

    @property
    def term(self) -> int:
        """The newest term heard of."""
        return self._term

    @property
    def managers(self) -> dict[str, str]:
        """The addresses of all managers there ever were, by node id."""
        return self._below(self._keys.managers)

    @property
    def alive(self) -> dict[str, str]:
        """The addresses of those that live, by node id."""
        return self._below(self._keys.alive) if self.in_contact else {}

    def _below(self, prefix: bytes) -> dict[str, str]:
        found = [place.value for key, place in self._places.items() if key.startswith(prefix)]
        return {who.node_id: who.address for who in found if who is not None}

    @property
    def silent_ms(self) -> int:
        """How long ago etcd was last heard from; -1: never."""
        return -1 if self._heard_s is None else round((time.monotonic() - self._heard_s) * 1000)

    def good_for_s(self) -> float:
        """How long what is known here stays so without another word from etcd."""
        return self._good_until_s - time.monotonic()

    # --- beginning and ending ---

    def start(self) -> None:
        """Begin."""
        for name, run in (
            ("lease", self._keep_lease),
            ("who", self._watch_who),
            ("campaign", self._campaign),
        ):
            self._tasks.append(asyncio.create_task(_again(name, run, self._note), name=f"covey-etcd-{name}"))

    async def close(self) -> None:
        """End, and give the lease back, so that another one can lead at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._give_back()

    def stand(self, stands: bool) -> None:
        """Say whether this manager may lead; one that may not, and does, gives it up."""
        if stands and not self._stands:
            self._campaigning.set()
        self._stands = stands
        if not stands:
            self.resign()

    def resign(self) -> None:
        """Lead no more in this term: a write has shown that another one does, or is to."""
        if self._won is not None:
            self._lose()
            self._good_until_s = 0.0  # the lease goes too: it is what holds the leader's key

    # --- the lease ---

    async def _keep_lease(self) -> None:
        rpc = self._etcd.rpc
        sent_s = time.monotonic()
        granted = await self._etcd.call(
            "Lease", "LeaseGrant", rpc.LeaseGrantRequest(TTL=limits.etcd_lease_ttl_s)
        )
        self._lease = granted.ID
        try:
            value = layout.encode(self._own)
            named = self._etcd.put(self._keys.manager(self._own.node_id), value)
            alive = self._etcd.put(self._keys.sign_of_life(self._own.node_id), value, self._lease)
            await self._etcd.txn([], [named, alive])
            self._hear(sent_s, granted.TTL)
            self._campaigning.set()
            await self._renew(self._lease)
            log.warning("the lease in etcd has ended; asking for another one")
        finally:
            self._good_until_s = 0.0
            self._lose()
            await self._give_back()

    async def _renew(self, lease: int) -> None:
        """Keep a lease for as long as it can be kept."""
        stream: Stream | None = None
        request = self._etcd.rpc.LeaseKeepAliveRequest(ID=lease)
        try:
            while (left_s := self.good_for_s()) > 0:
                sent_s = time.monotonic()
                try:
                    stream = stream or await self._etcd.stream("Lease", "LeaseKeepAlive")
                    await stream.ask(request)
                    answer = await stream.answer(min(left_s, limits.etcd_request_timeout_s / 2))
                except CoveyError as error:
                    self._note("lease", error)
                    if stream is not None:
                        stream.cancel()
                    stream = None
                    await asyncio.sleep(limits.etcd_retry_ms_min / 1000)
                    continue
                if answer.TTL <= 0:
                    return
                self._hear(sent_s, answer.TTL)
                await asyncio.sleep(limits.etcd_keepalive_ms / 1000)
        finally:
            if stream is not None:
                stream.cancel()

    def _hear(self, sent_s: float, ttl_s: int) -> None:
        """Take note of an answer: the lease was good for `ttl_s` no earlier than when it was asked for."""
        if time.monotonic() > sent_s + ttl_s:
            return
        self._heard_s = sent_s
        was = self.in_contact
        self._good_until_s = sent_s + ttl_s - limits.etcd_lease_margin_ms / 1000
        self._told.pop("lease", None)
        if not was:
            self._owner.tell()

    async def _give_back(self) -> None:
        lease, self._lease = self._lease, 0
        if not lease:
            return
        try:
            await self._etcd.call("Lease", "LeaseRevoke", self._etcd.rpc.LeaseRevokeRequest(ID=lease))
        except CoveyError as error:
            log.debug("the lease was not given back, and ends by itself: %s", error)

    # --- who there is ---

    async def _watch_who(self) -> None:
        keys, rpc = self._keys, self._etcd.rpc
        end = layout.after(keys.who)
        while True:
            found = await self._etcd.range(rpc.RangeRequest(key=keys.who, range_end=end))
            present = {kv.key for kv in found.kvs}
            for key in [key for key in self._places if key not in present]:
                self._take(key, Place(None, 0, found.header.revision, 0))
            for kv in found.kvs:
                self._take(kv.key, _place(kv))
            self._heed()
            try:
                async for events in watch(
                    self._etcd, keys.who, end, found.header.revision + 1, deletions=True
                ):
                    for event in events:
                        gone = event.type == rpc.Event.DELETE
                        now = Place(None, 0, event.kv.mod_revision, 0) if gone else _place(event.kv)
                        self._take(event.kv.key, now)
                    self._heed()
            except Compacted:
                continue

    def _take(self, key: bytes, place: Place) -> None:
        known = self._places.get(key)
        if known is None or place.changed >= known.changed:
            self._places[key] = place

    def _heed(self) -> None:
        place = self._places.get(self._keys.leader)
        held = place is not None and place.value is not None
        self._term = max(self._term, place.made if place is not None else 0)
        if self._won is not None and (place is None or place.made != self._won.term):
            self._lose()
        if not held or (place is not None and place.lease == self._lease):
            self._campaigning.set()
        self._owner.tell()

    # --- leading ---

    async def _campaign(self) -> None:
        """Become the leader whenever there is none."""
        while True:
            await self._campaigning.wait()
            self._campaigning.clear()
            place = self._places.get(self._keys.leader)
            if not self.in_contact or self._won is not None or not self._stands or not self._lease:
                continue
            if place is None or place.value is None:
                await self._stand(self._lease)
            elif place.lease == self._lease:  # it stood, and the answer was lost
                head = layout.head(await self._etcd.value(self._keys.head), self._keys.head)
                self._win(Won(place.made, head), place.lease)

    async def _stand(self, lease: int) -> None:
        etcd, keys = self._etcd, self._keys
        put = etcd.put(keys.leader, layout.encode(self._own), lease)
        answer = await etcd.txn(
            [etcd.was_made_at(keys.leader, 0)], [put, etcd.get(keys.head)], [etcd.get(keys.leader)]
        )
        if answer.succeeded:
            self._take(keys.leader, Place(self._own, answer.revision, answer.revision, lease))
            kv = first(answer.found[0])
            head = layout.head(None if kv is None else kv.value, keys.head)
            self._win(Won(answer.revision, head), lease)
        elif (kv := first(answer.found[0])) is not None:
            self._take(keys.leader, _place(kv))
            self._owner.tell()

    def _win(self, won: Won, lease: int) -> None:
        if lease != self._lease or not self.in_contact:
            return  # it came too late
        self._won = won
        self._term = won.term
        self._owner.won(won)
        self._owner.tell()

    def _lose(self) -> None:
        if self._won is not None:
            self._won = None
            self._owner.lost()
        self._owner.tell()

    def _note(self, what: str, error: CoveyError) -> None:
        """Say what does not work, once for as long as it is the same."""
        if self._told.get(what) != str(error):
            self._told[what] = str(error)
            log.warning("%s", error)
        self._campaigning.set()


def _place(kv: Any) -> Place:
    try:
        who = msgspec.msgpack.decode(kv.value, type=Who)
    except msgspec.DecodeError as error:
        raise layout.damaged(kv.key, error) from error
    return Place(who, kv.create_revision, kv.mod_revision, kv.lease)


async def _again(what: str, run: Callable[[], Any], note: Callable[[str, CoveyError], None]) -> None:
    """Run something again and again, whatever becomes of it."""
    pause_ms = limits.etcd_retry_ms_min
    while True:
        began_s = time.monotonic()
        try:
            await run()
        except CoveyError as error:
            note(what, error)
        except Exception:  # without this task the manager would go on, and never lead again
            log.exception("the part of the log in etcd that minds the %s failed, and begins anew", what)
        if time.monotonic() - began_s > limits.etcd_lease_ttl_s:
            pause_ms = limits.etcd_retry_ms_min
        await asyncio.sleep(pause_ms / 1000)
        pause_ms = min(2 * pause_ms, limits.etcd_retry_ms_max)
