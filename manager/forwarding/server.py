"""Handlers that any manager can serve, made of the leader's own and of reads."""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any

from covey import limits
from covey.errors import Bug, Interrupted, NotLeader, Unavailable, Unreachable
from covey.model.objects import Cluster
from covey.wire.metadata import AGE_MS, INDEX
from covey.wire.service import Binding, Caller, ClientStream, ServerStream, Unary, Where
from manager.store.driver import Store

from .client import Leader
from .patience import Patience

Pace = Callable[[Caller], None]
"""Refuses who asks too often, before anything is passed on."""


class Forwarding:
    """Wraps a manager's handlers. `age_ms` says how long ago this manager last knew that it was up to date."""

    def __init__(self, store: Store, leader: Leader, age_ms: Callable[[], int]) -> None:
        self._store = store
        self._leader = leader
        self._age_ms = age_ms

    def wrap(self, bindings: Iterable[Binding], pace: Pace | None = None) -> list[Binding]:
        """Give bindings that do what their methods' `served` says."""
        return [self._wrap(binding, pace) for binding in bindings]

    def _wrap(self, binding: Binding, pace: Pace | None) -> Binding:
        method, handler = binding.method, binding.handler
        make: Callable[[Binding, Pace | None], Any]
        match method.served, method:
            case Where.ANYWHERE, _:
                return binding
            case Where.READ, Unary():
                return Binding(method, self._read(handler))
            case Where.READ, ServerStream():
                return Binding(method, self._read_stream(handler))
            case Where.LEADER, Unary():
                make = self._unary
            case Where.LEADER, ServerStream():
                make = self._server_stream
            case Where.LEADER, ClientStream():
                make = self._client_stream
            case _:
                raise Bug(f"{method.path} cannot be passed on, and is served by {method.served.value}")
        return Binding(method, make(binding, pace))

    # --- reading ---

    def _read(self, handler: Callable[[Any, Caller], Awaitable[Any]]) -> Any:
        async def read(request: Any, caller: Caller) -> Any:
            await self._catch_up(caller)
            return await handler(request, caller)

        return read

    def _read_stream(self, handler: Callable[[Any, Caller], AsyncIterator[Any]]) -> Any:
        async def read(request: Any, caller: Caller) -> AsyncIterator[Any]:
            await self._catch_up(caller)
            async with aclosing(handler(request, caller)) as responses:  # type: ignore[type-var]
                async for response in responses:
                    yield response

        return read

    async def _catch_up(self, caller: Caller) -> None:
        """See that this manager may answer: it knows whatever was acknowledged, or old knowledge will do."""
        if not caller.stale:
            await self._store.barrier()
        if next(iter(self._store.all(Cluster)), None) is None:
            raise Unavailable("this manager knows nothing of its cluster yet; ask another one, or try again")
        if caller.stale:
            caller.beside[AGE_MS] = str(self._age_ms())
            caller.beside[INDEX] = str(self._store.index)

    # --- what the leader does ---

    def _unary(self, binding: Binding, pace: Pace | None) -> Any:
        method, handler = binding.method, binding.handler
        assert isinstance(method, Unary), "that is what it is for"

        async def run(request: Any, caller: Caller) -> Any:
            patience, unpaced = Patience(time.monotonic()), pace
            while True:
                channel = await self._leader.find(caller, patience)
                try:
                    if channel is None:
                        return await handler(request, caller)
                    if unpaced is not None:
                        unpaced(caller)
                        unpaced = None
                    return await self._leader.answer(channel.call(method, request, limits.rpc_timeout_s))
                except (NotLeader, Unreachable) as error:
                    await _again(patience, caller, error)
                except Interrupted as error:
                    raise _unknown(error) from error

        return run

    def _server_stream(self, binding: Binding, pace: Pace | None) -> Any:
        method, handler = binding.method, binding.handler
        assert isinstance(method, ServerStream), "that is what it is for"

        async def run(request: Any, caller: Caller) -> AsyncIterator[Any]:
            patience, begun, unpaced = Patience(time.monotonic()), False, pace
            while True:
                channel = await self._leader.find(caller, patience)
                if channel is not None and unpaced is not None:
                    unpaced(caller)
                    unpaced = None
                source = handler(request, caller) if channel is None else channel.stream(method, request)
                try:
                    async with aclosing(source) as responses:
                        async for response in responses:
                            begun = True
                            yield response
                    return
                except (NotLeader, Unreachable) as error:
                    if begun:
                        raise
                    await _again(patience, caller, error)

        return run

    def _client_stream(self, binding: Binding, pace: Pace | None) -> Any:
        method, handler = binding.method, binding.handler
        assert isinstance(method, ClientStream), "that is what it is for"

        async def run(requests: AsyncIterable[Any], caller: Caller) -> Any:
            # What was read of the stream cannot be read again, so it is passed on once.
            channel = await self._leader.find(caller, Patience(time.monotonic()))
            if channel is None:
                return await handler(requests, caller)
            if pace is not None:
                pace(caller)
            try:
                return await channel.send(method, requests)
            except Interrupted as error:
                raise _unknown(error) from error

        return run


async def _again(patience: Patience, caller: Caller, error: Unavailable) -> None:
    """Wait a moment for another leader, if there is time; the call was surely not carried out."""
    if caller.via:
        raise error
    patience.reason = str(error)
    await asyncio.sleep(min(limits.forward_pause_ms / 1000, patience.left_s(time.monotonic())))


def _unknown(error: Interrupted) -> Unavailable:
    return Unavailable(
        f"the leader was lost while it carried this out ({error}): nobody knows whether it was done; look before you "
        "repeat it"
    )
