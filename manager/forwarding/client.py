"""The way to the leader: who it is, waiting for one, and a channel to it."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from covey import limits
from covey.errors import Interrupted, NotLeader
from covey.identity import NodeIdentity
from covey.wire.client import Channel, connect_control
from covey.wire.metadata import Metadata, on_behalf_of
from covey.wire.service import Caller
from manager.store.driver import Store
from manager.store.log.seam import Standing

from .patience import Patience

R = TypeVar("R")
Dial = Callable[[str, NodeIdentity], Channel]


class Leader:
    """Finds the manager that leads. `serving`: this one does, and all its leader's parts run.

    `silent_ms` says for how long nothing was heard from the leader. What is sent to one that has lost its power
    cannot be told from what it has carried out, so nothing is sent to one that may have.

    Must be closed: it keeps a channel to each manager that it passed calls on to.
    """

    def __init__(
        self,
        store: Store,
        serving: Callable[[], bool],
        identity: Callable[[], NodeIdentity],
        silent_ms: Callable[[], int] = lambda: 0,
        dial: Dial = connect_control,
    ) -> None:
        self._store = store
        self._serving = serving
        self._silent_ms = silent_ms
        self._identity = identity
        self._dial = dial
        self._channels: dict[str, tuple[bytes, Channel]] = {}
        self._outdated: list[Channel] = []

    async def find(self, caller: Caller, patience: Patience) -> Channel | None:
        """Wait for a leader; give the way to it, None if it is this manager.

        Raises `Unavailable` when patience is at an end, and `NotLeader` for a call that was passed on already.
        """
        while True:
            standing = self._store.standing
            if standing.leads and self._serving():
                return None
            if caller.via and not standing.leads:
                raise NotLeader(
                    f"this manager does not lead; {f'node {standing.leader} does' if standing.leader else 'nobody does'}"
                )
            silent = self._silent_ms() > limits.forward_silence_ms
            if standing.address and not standing.leads and not silent:
                return self._channel(standing.address).beside(Metadata(on_behalf_of(caller)))
            wait_s = patience.left_s(time.monotonic())
            if standing.leads or silent:  # it is about to serve, or to speak again, and says so to nobody
                wait_s = min(wait_s, limits.forward_pause_ms / 1000)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._store.standing_after(standing)

    async def answer(self, call: Awaitable[R]) -> R:
        """Wait for what the leader answers, but hardly longer once another one leads: this one may be gone for good.

        Raises `Interrupted` then.
        """
        asked, answer = self._store.standing, asyncio.ensure_future(call)
        replaced = asyncio.ensure_future(self._replaced(asked))
        try:
            await asyncio.wait({answer, replaced}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                await asyncio.wait({answer}, timeout=limits.forward_answer_ms / 1000)
            if not answer.done():
                raise Interrupted(f"{asked.address}: no answer came, and another manager leads by now")
            return answer.result()
        finally:
            answer.cancel()
            replaced.cancel()
            await asyncio.gather(answer, replaced, return_exceptions=True)

    async def _replaced(self, asked: Standing) -> None:
        standing = asked
        while not standing.leader or standing.term == asked.term:
            standing = await self._store.standing_after(standing)

    def _channel(self, address: str) -> Channel:
        identity = self._identity()  # it may have been renewed since
        known = self._channels.get(address)
        if known is not None and known[0] == identity.certificate_pem:
            return known[1]
        if known is not None:
            self._outdated.append(known[1])  # calls may be under way on it
        channel = self._dial(address, identity)
        self._channels[address] = identity.certificate_pem, channel
        return channel

    async def close(self) -> None:
        """Let go of the channels."""
        for channel in (*self._outdated, *(channel for _, channel in self._channels.values())):
            await channel.close()
