"""The DNS server itself: takes the agent's feed, opens and closes name servers, keeps the books."""

import asyncio
import logging
import os
from collections import Counter
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from random import Random

from covey import limits
from covey.errors import CoveyError, FailedPrecondition, PeerFault
from covey.io import netns
from covey.model.tables import NetworkTable, NetworkTableDelta

from .feed import (
    Ask,
    Body,
    ChangeTable,
    Deframer,
    DropResolver,
    DropTable,
    Request,
    Resolver,
    Retain,
    Serving,
    SetResolver,
    SetTable,
    Tally,
    Verdict,
    frame,
)
from .io import books, predecessor, sockets
from .io.container import Connections, Container
from .io.upstream import Upstreams
from .serving import fingerprint
from .view import View
from .zone import Zone

log = logging.getLogger(__name__)

_READ_BYTES = 256 * 1024


class DnsServer:
    """Everything one node's DNS process holds. Use as `await start()`, ..., `await stop()`."""

    def __init__(self, socket: Path, memory: Path, dice: Random) -> None:
        self.counts: Counter[str] = Counter()
        self._socket = socket
        self._books = books.Books(memory)
        self._dice = dice
        self._lots = Random(dice.getrandbits(64))  # for turns, which need no secrecy and come by the 100,000  # noqa: S311
        self._connections = Connections()
        self._zones: dict[str, Zone] = {}
        self._containers: dict[str, Container] = {}
        self._conversations: set[asyncio.Task[None]] = set()
        self._writing: asyncio.Task[None] | None = None
        self._upstreams: Upstreams | None = None
        self._server: asyncio.Server | None = None
        self._bound = 0

    async def start(self) -> None:
        """Serve what the books say, then listen for the agent, and relieve who did so before us."""
        self._upstreams = Upstreams(self._dice, self.counts)
        before_us = predecessor.find(self._socket)
        self._reopen()
        self._socket.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._converse, self._socket)
        finally:
            os.umask(before)
        self._bound = self._socket.stat().st_ino
        if before_us is not None:
            await before_us.relieve()
        self._write_soon()
        log.info("serving %d containers on %d networks", len(self._containers), len(self._zones))

    async def stop(self) -> None:
        """Write the books and close everything. Rules in containers stay: the next start needs them."""
        if self._server is not None:
            self._server.close()
        for conversation in list(self._conversations):
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        if self._writing is not None:
            await self._writing
        books.write(self._books.take_changes())
        for container in self._containers.values():
            container.close()
        self._containers.clear()
        if self._upstreams is not None:
            await self._upstreams.close()
        with suppress(FileNotFoundError):
            if self._socket.stat().st_ino == self._bound:  # else it is our successor's
                self._socket.unlink()
        log.info("stopped; dropped or failed: %s", dict(self.counts) or "nothing")

    def is_needed(self) -> bool:
        """Tell whether there is still a container to serve: one whose namespace is there."""
        return any(netns.exists(Path(each.view.resolver.netns)) for each in self._containers.values())

    def apply(self, body: Body) -> str:
        """Carry out one request; returns what went wrong, empty if nothing did."""
        try:
            match body:
                case SetTable(table):
                    self._set_zone(table)
                    self._books.keep_table(table.network_id, self._zones[table.network_id].table)
                case ChangeTable(change):
                    self._change_zone(change)
                case DropTable(network_id):
                    self._books.drop_table(network_id)
                    self._zones.pop(network_id, None)
                case SetResolver(resolver):
                    self._set_resolver(resolver)
                case DropResolver(task_id):
                    self._drop_resolver(task_id)
                case Retain(network_ids, task_ids):
                    self._retain(set(network_ids), set(task_ids))
        except (OSError, ValueError, CoveyError) as error:
            return str(error)
        return ""

    def _reopen(self) -> None:
        for table in self._books.tables():
            try:
                self._set_zone(table)
            except ValueError as error:
                log.warning("the table of network %s is no good: %s", table.network_id, error)
                self._books.drop_table(table.network_id)
        for kept in self._books.resolvers():
            try:
                self._open(kept.resolver, kept.udp_port, kept.tcp_port)
            except OSError as error:
                log.info("not serving task %s any more: %s", kept.resolver.task_id, error)
                self._books.drop_resolver(kept.resolver.task_id)

    def _set_zone(self, table: NetworkTable) -> None:
        zone = self._zones.get(table.network_id) or Zone()
        _complain(table.network_id, zone.set_table(table))
        self._zones[table.network_id] = zone

    def _change_zone(self, change: NetworkTableDelta) -> None:
        zone = self._zones.get(change.network_id)
        if zone is None:
            raise FailedPrecondition(
                f"there is no table of network {change.network_id} to change; send it whole"
            )
        _complain(change.network_id, zone.change(change))
        self._books.keep_table(change.network_id, zone.table)

    def _set_resolver(self, resolver: Resolver) -> None:
        for upstream in resolver.upstreams:
            ip_address(upstream.address.partition("%")[0])  # a name here would be looked up, and stall us all
        container = self._containers.get(resolver.task_id)
        path = Path(resolver.netns)
        if container is not None and sockets.namespace_at(path) == container.listening.namespace:
            container.view = View(resolver, self._zones)
            self._keep(resolver, container)
            return
        self._close(resolver.task_id)
        self._open(resolver)

    def _open(self, resolver: Resolver, udp_port: int = 0, tcp_port: int = 0) -> None:
        assert self._upstreams is not None, "start comes first"
        listening = sockets.listen(Path(resolver.netns), udp_port, tcp_port)
        view = View(resolver, self._zones)
        container = Container(
            view, listening, self._upstreams.forward, self.counts, self._connections, self._lots
        )
        self._containers[resolver.task_id] = container
        self._keep(resolver, container)

    def _keep(self, resolver: Resolver, container: Container) -> None:
        ports = container.listening
        self._books.keep_resolver(books.OpenResolver(resolver, ports.udp_port, ports.tcp_port))

    def _drop_resolver(self, task_id: str) -> None:
        self._books.drop_resolver(task_id)
        self._close(task_id)

    def _close(self, task_id: str) -> None:
        container = self._containers.pop(task_id, None)
        if container is not None:
            assert self._upstreams is not None
            self._upstreams.forget(task_id)
            container.close()

    def _retain(self, network_ids: set[str], task_ids: set[str]) -> None:
        for network_id in self._zones.keys() - network_ids:
            self._books.drop_table(network_id)
            del self._zones[network_id]
        for task_id in self._containers.keys() - task_ids:
            self._drop_resolver(task_id)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        deframer = Deframer(Request)
        try:
            while data := await reader.read(_READ_BYTES):
                for request in deframer.feed(data):
                    verdict = await self._verdict(request)
                    self._write_soon()  # also if nobody is there any more to be told
                    writer.write(frame(verdict))
                    await writer.drain()  # and other containers' queries get their turn
                    await asyncio.sleep(0)
        except (OSError, PeerFault) as error:
            log.warning("the agent's feed broke: %s", error)
        except asyncio.CancelledError:
            pass  # only `stop` cancels us; the streams' own callback would report it as a fault
        finally:
            self._conversations.discard(task)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    def _dropped(self) -> dict[str, dict[str, int]]:
        assert self._upstreams is not None, "start comes first"
        return {
            task_id: {**container.dropped, **crowded}
            for task_id, container in self._containers.items()
            if (crowded := self._upstreams.crowded(task_id)) or container.dropped
        }

    async def _verdict(self, request: Request) -> Verdict:
        if isinstance(request.body, Tally):
            return Verdict(request.seq, dropped=self._dropped())
        if not isinstance(request.body, Ask):
            return Verdict(request.seq, self.apply(request.body))
        if request.body.anew:
            self._work_out_anew()
        zones, unled = {}, {}
        for id, zone in list(self._zones.items()):
            zones[id] = await asyncio.to_thread(fingerprint, dict(zone.names), dict(zone.reverse))
        for task_id, container in list(self._containers.items()):
            if why := sockets.unled(Path(container.view.resolver.netns), container.listening):
                unled[task_id] = why
            await asyncio.sleep(0)
        return Verdict(request.seq, serving=Serving(zones, tuple(self._containers), unled))

    def _work_out_anew(self) -> None:
        for id, zone in list(self._zones.items()):
            fresh = Zone()
            fresh.set_table(zone.table())
            self._zones[id] = fresh
        for task_id, container in self._containers.items():
            try:
                sockets.lead(Path(container.view.resolver.netns), container.listening)
            except OSError as error:
                log.warning("port 53 of task %s does not lead here: %s", task_id, error)

    def _write_soon(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        # What changes while a batch is being written is written by the next round, in order.
        await asyncio.sleep(limits.dns_persist_delay_ms / 1000)
        while changes := self._books.take_changes():
            try:
                await asyncio.to_thread(books.write, changes)
            except OSError as error:
                log.error("cannot keep names across a restart: %s; free some space on RUN", error)
                return


def _complain(network_id: str, unusable: tuple[str, ...]) -> None:
    for name in unusable:
        log.warning("network %s: %r cannot be a DNS name, nobody will find it", network_id, name)
