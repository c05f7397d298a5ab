"""Drives `forward.Forwarder`: one socket per exchange, one timer for all."""

import asyncio
import logging
import socket
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

from covey import limits
from covey.machine.machine import Tick

from ..codec import Question
from ..forward import Asked, Broke, Close, Effect, Event, Forwarder, Gone, Replied, Respond, Send
from ..view import View
from . import sockets
from .container import Respond as Callback

log = logging.getLogger(__name__)


class Upstreams:
    """Asks elsewhere. Every query given to `forward` is called back once, unless its container goes."""

    def __init__(self, dice: Random, counts: Counter[str]) -> None:
        self._machine = Forwarder(dice)
        self._counts = counts
        self._loop = asyncio.get_running_loop()
        self._askers: dict[int, tuple[str, Callback]] = {}
        self._namespaces: dict[str, Path] = {}
        self._last_asker = 0
        self._datagrams: dict[int, socket.socket] = {}
        self._streams: dict[int, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def forward(self, view: View, query: bytes, question: Question, stream: bool, respond: Callback) -> None:
        """Have `query` asked elsewhere and its answer given to `respond`."""
        resolver = view.resolver
        self._last_asker += 1
        self._askers[self._last_asker] = (resolver.task_id, respond)
        self._namespaces[resolver.task_id] = Path(resolver.netns)
        self._tick()
        self._step(Asked(self._last_asker, resolver.task_id, query, question, resolver.upstreams, stream))

    def crowded(self, task_id: str) -> dict[str, int]:
        """How many questions of a container were refused because it had too many under way, by that reason."""
        refused = self._machine.crowded[task_id]
        return {"too many questions under way": refused} if refused else {}

    def forget(self, task_id: str) -> None:
        """The container is gone; nobody waits for its answers."""
        self._step(Gone(task_id))
        for asker in [asker for asker, (owner, _) in self._askers.items() if owner == task_id]:
            del self._askers[asker]
        self._namespaces.pop(task_id, None)

    async def close(self) -> None:
        """Close every socket; queries under way stay unanswered."""
        if self._timer is not None:
            self._timer.cancel()
        streams = list(self._streams.values())
        for exchange in [*self._datagrams, *self._streams]:
            self._close(exchange)
        await asyncio.gather(*streams, return_exceptions=True)

    def _tick(self) -> None:
        # An exchange's time starts when it is asked, so the machine must know the time by then.
        self._perform(self._machine.step(Tick(self._now_ms())))

    def _step(self, event: Event) -> None:
        self._perform(self._machine.step(event))
        self._set_timer()

    def _perform(self, effects: Sequence[Effect]) -> None:
        waiting = deque(effects)
        while waiting:
            match waiting.popleft():
                case Send() as send if send.stream:
                    task = self._loop.create_task(self._converse(send))
                    self._streams[send.exchange] = task
                case Send() as send:
                    waiting.extend(self._send(send))
                case Close(exchange):
                    self._close(exchange)
                case Respond(client, data):
                    _, respond = self._askers.pop(client)
                    respond(data)

    def _send(self, send: Send) -> Sequence[Effect]:
        try:
            sock = sockets.ask(self._namespace(send), send.upstream, send.data)
        except OSError as error:
            self._complain(send, error)
            return self._machine.step(Broke(send.exchange))
        self._datagrams[send.exchange] = sock
        self._loop.add_reader(sock.fileno(), self._readable, send, sock)
        return ()

    def _readable(self, send: Send, sock: socket.socket) -> None:
        try:
            data = sock.recv(65_535)
        except BlockingIOError:
            return
        except OSError as error:
            self._complain(send, error)
            self._step(Broke(send.exchange))
        else:
            self._step(Replied(send.exchange, data))

    async def _converse(self, send: Send) -> None:
        try:
            async with asyncio.timeout(limits.dns_upstream_timeout_ms / 1000):
                data = await self._ask_stream(send)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self._complain(send, error)
            event: Event = Broke(send.exchange)
        else:
            event = Replied(send.exchange, data)
        self._streams.pop(send.exchange, None)  # before the Close that the step brings, which would cancel us
        self._step(event)
        if isinstance(event, Replied):
            self._step(Broke(send.exchange))  # nothing more will come if that was not believed

    async def _ask_stream(self, send: Send) -> bytes:
        sock = sockets.stream_socket(self._namespace(send), send.upstream)
        try:
            await self._loop.sock_connect(sock, (send.upstream.address, send.upstream.port))
            reader, writer = await asyncio.open_connection(sock=sock)
        except BaseException:
            sock.close()
            raise
        try:
            writer.write(len(send.data).to_bytes(2, "big") + send.data)
            await writer.drain()
            length = int.from_bytes(await reader.readexactly(2), "big")
            return await reader.readexactly(length)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _close(self, exchange: int) -> None:
        sock = self._datagrams.pop(exchange, None)
        if sock is not None:
            self._loop.remove_reader(sock.fileno())
            sock.close()
        stream = self._streams.pop(exchange, None)
        if stream is not None:
            stream.cancel()

    def _namespace(self, send: Send) -> Path | None:
        return None if send.upstream.from_node else self._namespaces[send.task_id]

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wake_at_ms = self._machine.wake_at_ms()
        self._timer = None
        if wake_at_ms is not None:
            delay_s = max(0, wake_at_ms - self._now_ms()) / 1000 + 0.001
            self._timer = self._loop.call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._tick()
        self._set_timer()

    def _now_ms(self) -> int:
        return int(self._loop.time() * 1000)

    def _complain(self, send: Send, error: Exception) -> None:
        self._counts[f"upstream {send.upstream.address}: {type(error).__name__}"] += 1
        log.debug("upstream %s does not answer: %s", send.upstream.address, error)
