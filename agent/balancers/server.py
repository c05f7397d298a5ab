"""The HTTP server of health ports."""

import asyncio
import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus

from covey import limits

from .answers import Counts

log = logging.getLogger(__name__)


class HealthPorts:
    """Listens on the health ports of this node's network namespace, on every address."""

    def __init__(self, retry_s: float = limits.health_port_retry_s) -> None:
        self._retry_s = retry_s
        self._answers: Mapping[int, Counts] = {}
        self._listening: dict[int, asyncio.Server] = {}
        self._refused: dict[int, str] = {}
        self._changed = asyncio.Event()
        self._open = 0

    def follow(self, answers: Mapping[int, Counts]) -> None:
        """Answer so from now on; ports are opened and closed a moment later."""
        self._answers = answers
        if answers.keys() != self._listening.keys():
            self._changed.set()

    def remarks(self) -> tuple[str, ...]:
        """Say which ports cannot be listened on, and why."""
        return tuple(self._refused[port] for port in sorted(self._refused))

    async def run(self) -> None:
        """Hold ports open until cancelled."""
        try:
            while True:
                self._changed.clear()
                await self._adjust()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._retry_s if self._refused else None):
                        await self._changed.wait()
        finally:
            for port in list(self._listening):
                self._close(port)

    async def _adjust(self) -> None:
        for port in [port for port in self._listening if port not in self._answers]:
            self._close(port)
        self._refused = {port: said for port, said in self._refused.items() if port in self._answers}
        for port in [port for port in self._answers if port not in self._listening]:
            await self._listen(port)

    def _close(self, port: int) -> None:
        self._listening.pop(port).close()

    async def _listen(self, port: int) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._answer(port, reader, writer)

        most = limits.health_request_bytes_max
        try:
            self._listening[port] = await asyncio.start_server(
                answer, None, port, limit=most, reuse_address=True
            )
        except OSError as error:
            said = (
                f"health port {port} is not answered: {error.strerror or error}; "
                "end what listens there on this host, or choose another health-port"
            )
            if self._refused.get(port) != said:
                log.error("%s", said)
            self._refused[port] = said
        else:
            self._refused.pop(port, None)

    async def _answer(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= limits.health_requests_max:
                with suppress(
                    TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
                ):  # a client that does not ask, or has gone
                    async with asyncio.timeout(limits.health_request_timeout_s):
                        request = await reader.readuntil(b"\r\n\r\n")
                        writer.write(reply(request, self._answers.get(port, {})))
                        await writer.drain()
        finally:
            self._open -= 1
            writer.close()


def reply(request: bytes, counts: Counts) -> bytes:
    """Give the whole answer to an HTTP request: 200 if any service has a task here, else 503; 405 to other methods."""
    method = request.split(b" ", 1)[0]
    status = HTTPStatus.OK if any(counts.values()) else HTTPStatus.SERVICE_UNAVAILABLE
    if method not in {b"GET", b"HEAD"}:
        status = HTTPStatus.METHOD_NOT_ALLOWED
    body = json.dumps({"active_tasks": dict(counts)}).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n"
        + ("Allow: GET, HEAD\r\n" if status is HTTPStatus.METHOD_NOT_ALLOWED else "")
        + "\r\n"
    )
    return head.encode() + (b"" if method == b"HEAD" else body)
