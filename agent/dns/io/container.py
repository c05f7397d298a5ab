"""One container's name server: its two sockets on the loop, its view, and the counts of what came."""

import asyncio
import errno
import logging
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

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


@dataclass(slots=True)
class Connections:
    """How many connections all containers of the node have open."""

    open: int = 0


class Container:
    """Serves one container until `close`. `forward` takes what this node has no answer for."""

    def __init__(
        self,
        view: View,
        listening: Listening,
        forward: ForwardQuery,
        counts: Counter[str],
        connections: Connections,
        dice: Random,
    ) -> None:
        self.view = view
        self._connections = connections
        self._dice = dice
        self.listening = listening
        self._forward = forward
        self._counts = counts
        self.dropped: Counter[str] = (
            Counter()
        )  # of this container alone, and only what nobody sends who means well
        self._streams: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(listening.udp.fileno(), self._drain)
        self._loop.add_reader(listening.tcp.fileno(), self._accept)

    def close(self) -> None:
        """Answer what has come, stop serving and close the sockets."""
        self._drain()
        self._loop.remove_reader(self.listening.udp.fileno())
        self._loop.remove_reader(self.listening.tcp.fileno())
        self.listening.close()
        if self._pause is not None:
            self._pause.cancel()
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
            # By lot, as libc asks for both families at once: counting up, every second address would come first.
            verdict = answer(query, view, self._dice.getrandbits(30))
            if type(verdict) is bytes:
                self._send(verdict, asker)
            elif isinstance(verdict, Forward):
                self._forward(view, query, verdict.question, False, self._reply_to(query, verdict, asker))
            elif isinstance(verdict, Drop):
                self._drop(verdict.reason)

    def _drop(self, reason: str) -> None:
        self._counts[reason] += 1
        self.dropped[reason] += 1

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
        except BlockingIOError:
            return
        except OSError as error:
            self._counts[f"accept: {error.strerror}"] += 1
            if error.errno in (errno.EMFILE, errno.ENFILE):  # the connection stays there, and we would spin
                self._loop.remove_reader(self.listening.tcp.fileno())
                self._pause = self._loop.call_later(limits.dns_accept_pause_ms / 1000, self._accept_again)
            return
        free = limits.dns_tcp_connections_max - self._connections.open
        if len(self._streams) >= min(limits.dns_tcp_connections_per_container_max, free // 2):
            self._drop("too many connections")
            connection.close()
            return
        connection.setblocking(False)
        stream = self._loop.create_task(self._serve_stream(connection))
        self._streams.add(stream)
        self._connections.open += 1
        stream.add_done_callback(self._ended)

    def _accept_again(self) -> None:
        self._pause = None
        self._loop.add_reader(self.listening.tcp.fileno(), self._accept)

    def _ended(self, stream: asyncio.Task[None]) -> None:
        self._streams.discard(stream)
        self._connections.open -= 1

    async def _serve_stream(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        writer.transport.set_write_buffer_limits(high=0)  # so that `drain` waits for all of it
        try:
            while True:
                async with asyncio.timeout(limits.dns_tcp_idle_ms / 1000):
                    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
                    query = await reader.readexactly(length)
                reply = await self._answer_stream(query)
                if reply is None:
                    return
                writer.write(len(reply).to_bytes(_LENGTH_BYTES, "big") + reply)
                if not await _taken(writer):
                    self._drop("answers that nobody takes")
                    return
        except TimeoutError:
            self._counts["a connection that dawdles"] += 1
        except (asyncio.IncompleteReadError, OSError):
            pass  # the asker is done
        finally:
            # What it has not taken by now it never will: a close would wait for it.
            writer.transport.abort()

    async def _answer_stream(self, query: bytes) -> bytes | None:
        verdict = answer(query, self.view, self._dice.getrandbits(30), stream=True)
        if isinstance(verdict, Forward):
            reply: asyncio.Future[bytes] = self._loop.create_future()
            self._forward(self.view, query, verdict.question, True, lambda data: _resolve(reply, data))
            return await reply
        if isinstance(verdict, Drop):
            self._drop(verdict.reason)
            return None
        return verdict


async def _taken(writer: asyncio.StreamWriter) -> bool:
    """Tell whether what was written is taken in time."""
    try:
        async with asyncio.timeout(limits.dns_tcp_idle_ms / 1000):
            await writer.drain()
    except TimeoutError:
        return False
    return True


def _resolve(future: asyncio.Future[bytes], data: bytes) -> None:
    if not future.done():
        future.set_result(data)
