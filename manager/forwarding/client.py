"""The way to the leader: who it is, waiting for one, and a channel to it."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from covey import limits
from covey.errors import NotLeader
from covey.identity import NodeIdentity
from covey.wire.client import Channel, connect_control
from covey.wire.metadata import Metadata, on_behalf_of
from covey.wire.service import Caller
from manager.store.driver import Store

from .patience import Patience

Dial = Callable[[str, NodeIdentity], Channel]


class Leader:
    """Finds the manager that leads. `serving`: this one does, and all its leader's parts run.

    Must be closed: it keeps a channel to each manager that it passed calls on to.
    """

    def __init__(
        self,
        store: Store,
        serving: Callable[[], bool],
        identity: Callable[[], NodeIdentity],
        dial: Dial = connect_control,
    ) -> None:
        self._store = store
        self._serving = serving
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
            if standing.address and not standing.leads:
                return self._channel(standing.address).beside(Metadata(on_behalf_of(caller)))
            wait_s = patience.left_s(time.monotonic())
            if standing.leads:  # it is about to serve, and says so to nobody
                wait_s = min(wait_s, limits.forward_pause_ms / 1000)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._store.standing_after(standing)

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
