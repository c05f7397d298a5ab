"""One container's name server: its two sockets on the loop, its view, and the counts of what came."""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from covey import limits

from .. import codec
from ..answer import Drop, Forward, answer, udp_room
from ..codec import Question
from ..view import View
from .sockets import Listening

log = logging.getLogger(__name__)

Respond = Callable[[bytes], None]
ForwardQuery = Callable[[View, bytes, Question, bool, Respond], None]

_LENGTH_BYTES = 2


class Container:
    """Serves one container until `close`. `forward` takes what this node has no answer for."""

    def __init__(self, view: View, listening: Listening, forward: ForwardQuery, counts: Counter[str]) -> None:
        self.view = view
        self.listening = listening
        self._forward = forward
        self._counts = counts
        self._turn = 0
        self._streams: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(listening.udp.fileno(), self._drain)
        self._loop.add_reader(listening.tcp.fileno(), self._accept)

    def close(self) -> None:
        """Stop serving and close the sockets."""
        self._loop.remove_reader(self.listening.udp.fileno())
        self._loop.remove_reader(self.listening.tcp.fileno())
        self.listening.close()
        for stream in self._streams:
            stream.cancel()

    def _drain(self) -> None:
        # Several datagrams per wakeup: the loop's own work costs ten times a quick answer's.
        sock, view = self.listening.udp, self.view
        for _ in range(limits.dns_datagrams_per_wakeup):
            try:
                query, asker = sock.recvfrom(limits.dns_query_bytes_max + 1)
            except BlockingIOError:
                return
            except OSError as error:  # an ICMP error of an earlier answer; reading on is right
                self._counts[f"receive: {error.strerror}"] += 1
                continue
            self._turn += 1
            verdict = answer(query, view, self._turn)
            if type(verdict) is bytes:
                self._send(verdict, asker)
            elif isinstance(verdict, Forward):
                self._forward(view, query, verdict.question, False, self._reply_to(query, verdict, asker))
            elif isinstance(verdict, Drop):
                self._counts[verdict.reason] += 1

    def _reply_to(self, query: bytes, verdict: Forward, asker: tuple[str, int]) -> Respond:
        def reply(data: bytes) -> None:
            if len(data) > udp_room(query, verdict.question):
                data = codec.truncated(data, verdict.question)
            self._send(data, asker)

        return reply

    def _send(self, data: bytes, asker: tuple[str, int]) -> None:
        try:
            self.listening.udp.sendto(data, asker)
        except OSError as error:  # full buffer, or the container is going: the asker will ask again
            self._counts[f"send: {error.strerror}"] += 1

    def _accept(self) -> None:
        try:
            connection, _ = self.listening.tcp.accept()
        except OSError as error:
            self._counts[f"accept: {error.strerror}"] += 1
            return
        if len(self._streams) >= limits.dns_tcp_connections_per_container_max:
            self._counts["too many connections"] += 1
            connection.close()
            return
        connection.setblocking(False)
        stream = self._loop.create_task(self._serve_stream(connection))
        self._streams.add(stream)
        stream.add_done_callback(self._streams.discard)

    async def _serve_stream(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            while True:
                async with asyncio.timeout(limits.dns_tcp_idle_ms / 1000):
                    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
                    query = await reader.readexactly(length)
                reply = await self._answer_stream(query)
                if reply is None:
                    return
                writer.write(len(reply).to_bytes(_LENGTH_BYTES, "big") + reply)
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, OSError):
            pass  # the asker is done or dawdles: the connection is over either way
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer_stream(self, query: bytes) -> bytes | None:
        self._turn += 1
        verdict = answer(query, self.view, self._turn, stream=True)
        if isinstance(verdict, Forward):
            reply: asyncio.Future[bytes] = self._loop.create_future()
            self._forward(self.view, query, verdict.question, True, lambda data: _resolve(reply, data))
            return await reply
        if isinstance(verdict, Drop):
            self._counts[verdict.reason] += 1
            return None
        return verdict


def _resolve(future: asyncio.Future[bytes], data: bytes) -> None:
    if not future.done():
        future.set_result(data)
