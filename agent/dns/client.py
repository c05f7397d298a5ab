"""The agent's feed to the DNS server: keeps one connection, sends what is wanted, takes the answers."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from types import TracebackType
from typing import TypeVar

from agent.audit.look import Look
from covey import limits
from covey.errors import FailedPrecondition, PeerFault, Unavailable
from covey.io.clock import now_ms
from covey.model.tables import NetworkTable

from .dropped import Dropped
from .feed import Deframer, Resolver, Verdict, frame
from .outbox import Outbox
from .seam import Names
from .serving import judge, wanted

R = TypeVar("R")
log = logging.getLogger(__name__)

_READ_BYTES = 64 * 1024


class DnsFeed:
    """The real make of `Names`: `async with DnsFeed(config.dns_socket, Random()) as names: ...`.

    It needs no server to be there: it calls again, with growing pauses, and then sends everything anew.
    """

    def __init__(self, socket: Path, dice: Random) -> None:
        self._socket = socket
        self._dice = dice
        self._outbox = Outbox()
        self._news = asyncio.Event()  # something to send
        self._asking = asyncio.Lock()
        self._answer = asyncio.Event()  # replaced at each answer: a broadcast
        self._tasks: list[asyncio.Task[None]] = []
        self._dropped = Dropped()

    async def __aenter__(self) -> "DnsFeed":
        """Start calling."""
        self._tasks = [
            asyncio.create_task(self._run(), name="dns feed"),
            asyncio.create_task(self._count_on(), name="dns tally"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up; the server serves on."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def reset(self, tables: Iterable[NetworkTable], resolvers: Iterable[Resolver]) -> None:
        """See `Names.reset`."""
        self._outbox.reset(tables, resolvers)
        self._news.set()

    def set_table(self, table: NetworkTable) -> None:
        """See `Names.set_table`."""
        self._outbox.set_table(table)
        self._news.set()

    def drop_table(self, network_id: str) -> None:
        """See `Names.drop_table`."""
        self._outbox.drop_table(network_id)
        self._news.set()

    def set_resolver(self, resolver: Resolver) -> None:
        """See `Names.set_resolver`."""
        self._outbox.set_resolver(resolver)
        self._news.set()

    def drop_resolver(self, task_id: str) -> None:
        """See `Names.drop_resolver`."""
        self._outbox.drop_resolver(task_id)
        self._news.set()

    async def ready(self, task_id: str, timeout_ms: int | None = None) -> None:
        """See `Names.ready`."""
        bound_ms = limits.dns_ready_ms if timeout_ms is None else timeout_ms
        undone = f"did not open a resolver for task {task_id} within {bound_ms} ms"
        error = await self._answered(lambda: self._verdict(task_id), bound_ms / 1000, undone)
        if error:
            raise Unavailable(f"no names for task {task_id}: {error}")

    async def follows(self, network_id: str, timeout_ms: int | None = None) -> None:
        """See `Names.follows`."""
        bound_ms = limits.dns_table_ms if timeout_ms is None else timeout_ms
        undone = f"did not take the newest table of network {network_id} within {bound_ms} ms"
        error = await self._answered(lambda: self._outbox.table_verdict(network_id), bound_ms / 1000, undone)
        if error:
            raise Unavailable(f"names of network {network_id} may be old: {error}")

    async def audit(self, *, repair: bool = False) -> Look:
        """See `Names.audit`."""
        async with self._asking:
            self._outbox.ask(anew=repair)
            self._news.set()
            undone = f"did not say within {limits.dns_audit_s:g} s what it serves"
            told, serving = await self._answered(lambda: self._outbox.serving, limits.dns_audit_s, undone)
        digests = await asyncio.to_thread(lambda: {id: wanted(table) for id, table in told.tables.items()})
        return judge(told, digests, serving)

    def remarks(self) -> tuple[str, ...]:
        """See `Names.remarks`."""
        return tuple(self._dropped.remarks(now_ms()))

    async def count(self) -> None:
        """Ask what was dropped, and take note of it."""
        self._outbox.count()
        self._news.set()
        while (tally := self._outbox.tally) is None:
            await self._answer.wait()
        self._dropped.note(tally, now_ms())

    async def _count_on(self) -> None:
        while True:
            await asyncio.sleep(limits.network_look_s)
            with contextlib.suppress(TimeoutError):  # it has lost its connection, and is asked again later
                async with asyncio.timeout(limits.network_look_s):
                    await self.count()

    async def settled(self) -> None:
        """Wait, without a bound of its own, until everything published was answered (for tests and demos)."""
        while not self._outbox.idle:
            await self._answer.wait()

    def _verdict(self, task_id: str) -> str | None:
        if task_id not in self._outbox.resolvers:
            raise FailedPrecondition(f"task {task_id} has no resolver: call set_resolver before ready")
        return self._outbox.verdict(task_id)

    async def _answered(self, asked: Callable[[], R | None], bound_s: float, undone: str) -> R:
        """Wait until what is asked is no longer None. Raises Unavailable, with what was left undone, if it stays so."""
        try:
            async with asyncio.timeout(bound_s):
                while (found := asked()) is None:
                    await self._answer.wait()
        except TimeoutError:
            raise Unavailable(
                f"the DNS server at {self._socket} {undone}; coveyd restarts it if it died, its log says more"
            ) from None
        return found

    async def _run(self) -> None:
        pause_ms = limits.reconnect_backoff_ms_min
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._socket)
            except OSError as error:
                log.debug("the DNS server does not answer at %s: %s", self._socket, error)
            else:
                pause_ms = limits.reconnect_backoff_ms_min
                await self._converse(reader, writer)
            await asyncio.sleep(pause_ms * self._dice.uniform(0.5, 1.0) / 1000)
            pause_ms = min(2 * pause_ms, limits.dns_call_again_ms_max)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._outbox.connected()
        self._news.set()
        try:
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(self._send(writer))
                await self._receive(reader)
                sending.cancel()
        except* (OSError, PeerFault) as errors:
            log.warning("the feed to the DNS server broke, calling again: %s", errors.exceptions[0])
        finally:
            self._outbox.disconnected()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while (request := self._outbox.next_request()) is not None:
                try:
                    data = frame(request)
                except ValueError as error:
                    self._take(Verdict(request.seq, str(error)))
                    continue
                writer.write(data)
                await writer.drain()

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        deframer = Deframer(Verdict)
        while data := await reader.read(_READ_BYTES):
            for verdict in deframer.feed(data):
                self._take(verdict)
            self._news.set()  # the window has room again

    def _take(self, verdict: Verdict) -> None:
        body = self._outbox.answered(verdict)
        if verdict.error:
            log.warning("the DNS server could not do %s: %s", type(body).__name__, verdict.error)
        self._answer.set()
        self._answer = asyncio.Event()


_: type[Names] = DnsFeed
