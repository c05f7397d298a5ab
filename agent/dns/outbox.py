"""The agent's end of the feed, without the socket: what is wanted, what was sent, what was answered."""

from collections.abc import Iterable

from covey import limits
from covey.errors import PeerFault
from covey.model.changes import table_delta
from covey.model.tables import NetworkTable

from .feed import (
    Ask,
    Body,
    ChangeTable,
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
)
from .serving import Told

_RETAIN = ("retain", "")
_ASK = ("ask", "")
_TALLY = ("tally", "")


class Outbox:
    """The wanted state and how far it has travelled.

    Only keys wait to be sent, not messages: whatever changes twice before its turn is sent once. Of a table
    that went over this connection before, only what changed since is sent. `Retain` is sent only once the
    agent has said (by `reset`) that it knows everything.
    """

    def __init__(self) -> None:
        self.tables: dict[str, NetworkTable] = {}
        self.resolvers: dict[str, Resolver] = {}
        self._complete = False
        self._connected = False
        self._waiting: dict[tuple[str, str], None] = {}
        self._in_flight: dict[int, Body] = {}
        self._sent: dict[str, NetworkTable] = {}
        self._tables_in_flight: dict[int, NetworkTable] = {}
        self._verdicts: dict[str, str] = {}
        self._table_verdicts: dict[str, str] = {}
        self._seq = 0
        self._anew = False
        self._told = Told({}, frozenset())
        self.serving: tuple[Told, Serving] | None = None
        self.tally: dict[str, dict[str, int]] | None = None

    def ask(self, *, anew: bool) -> None:
        """Want to know what is served: `serving` has it, and what had been told by then, once it is answered.

        With `anew` everything is told again before.
        """
        if anew:
            self._sent.clear()
            self._want_everything()
        self._anew, self.serving = anew, None
        self._waiting.pop(_ASK, None)
        self._want(_ASK)

    def count(self) -> None:
        """Want to know what was dropped: `tally` has it once it is answered."""
        self.tally = None
        self._want(_TALLY)

    def reset(self, tables: Iterable[NetworkTable], resolvers: Iterable[Resolver]) -> None:
        """Replace the wanted state by this one."""
        self.tables = {table.network_id: table for table in tables}
        self.resolvers = {resolver.task_id: resolver for resolver in resolvers}
        self._verdicts.clear()
        self._table_verdicts.clear()
        self._complete = True
        self._want_everything()

    def set_table(self, table: NetworkTable) -> None:
        """Want this table; its verdict is open again."""
        self.tables[table.network_id] = table
        self._table_verdicts.pop(table.network_id, None)
        self._want(("table", table.network_id))

    def drop_table(self, network_id: str) -> None:
        """Want no table of this network."""
        self.tables.pop(network_id, None)
        self._table_verdicts.pop(network_id, None)
        self._want(("table", network_id))

    def set_resolver(self, resolver: Resolver) -> None:
        """Want this resolver; its verdict is open again."""
        self.resolvers[resolver.task_id] = resolver
        self._verdicts.pop(resolver.task_id, None)
        self._want(("resolver", resolver.task_id))

    def drop_resolver(self, task_id: str) -> None:
        """Want no resolver for this task."""
        self.resolvers.pop(task_id, None)
        self._verdicts.pop(task_id, None)
        self._want(("resolver", task_id))

    def connected(self) -> None:
        """A new connection is up: the other side may know nothing, or too much."""
        self._connected = True
        self._seq = 0
        self._in_flight.clear()
        self._tables_in_flight.clear()
        self._sent.clear()
        self._table_verdicts.clear()  # a server that was restarted may serve what it had written down before
        self._want_everything()

    def disconnected(self) -> None:
        """The connection is gone, and with it every answer that was due."""
        self._connected = False
        self._in_flight.clear()

    def next_request(self) -> Request | None:
        """Return the next message to send, None if there is none or the window is full."""
        if not self._connected or len(self._in_flight) >= limits.dns_requests_in_flight_max:
            return None
        key = next(iter(self._waiting), None)
        if key is None:
            return None
        del self._waiting[key]
        self._seq += 1
        request = Request(self._seq, self._body(key))
        self._in_flight[request.seq] = request.body
        if isinstance(request.body, SetTable | ChangeTable):
            self._tables_in_flight[request.seq] = self._sent[key[1]] = self.tables[key[1]]
        return request

    def answered(self, verdict: Verdict) -> Body:
        """Take the server's answer; returns what it answers, so that an error can be logged."""
        body = self._in_flight.pop(verdict.seq, None)
        if body is None:
            raise PeerFault(f"the DNS server answered request {verdict.seq}, which nobody made")
        if isinstance(body, SetResolver) and self.resolvers.get(body.resolver.task_id) is body.resolver:
            self._verdicts[body.resolver.task_id] = verdict.error
        if isinstance(body, Ask) and verdict.serving is not None:
            self.serving = self._told, verdict.serving
        if isinstance(body, Tally):
            self.tally = verdict.dropped or {}
        if isinstance(body, SetTable | ChangeTable):
            self._answered_table(body, self._tables_in_flight.pop(verdict.seq), verdict.error)
        return body

    def verdict(self, task_id: str) -> str | None:
        """Return the server's word on a task's newest resolver: None not yet, empty done, else an error."""
        return self._verdicts.get(task_id)

    def table_verdict(self, network_id: str) -> str | None:
        """Return the server's word on a network's newest table: None not yet, empty done, else an error."""
        return self._table_verdicts.get(network_id) if network_id in self.tables else ""

    @property
    def idle(self) -> bool:
        """Tell whether everything wanted was sent and answered."""
        return not self._waiting and not self._in_flight

    def _answered_table(self, body: SetTable | ChangeTable, table: NetworkTable, error: str) -> None:
        network_id = table.network_id
        if error:
            self._sent.pop(network_id, None)  # nobody knows what the server has now: the next one goes whole
        newest = self.tables.get(network_id)
        if error and isinstance(body, ChangeTable) and newest is not None:
            self._want(("table", network_id))
        elif newest is table:
            self._table_verdicts[network_id] = error

    def _want(self, key: tuple[str, str]) -> None:
        self._waiting[key] = None

    def _want_everything(self) -> None:
        # Tables go first, so that no resolver opens before its names are known; Retain goes last.
        self._waiting.pop(_RETAIN, None)
        for network_id in self.tables:
            self._want(("table", network_id))
        for task_id in self.resolvers:
            self._want(("resolver", task_id))
        if self._complete:
            self._want(_RETAIN)

    def _body(self, key: tuple[str, str]) -> Body:
        match key:
            case ("table", network_id):
                return self._table_body(network_id)
            case ("resolver", task_id):
                resolver = self.resolvers.get(task_id)
                return DropResolver(task_id) if resolver is None else SetResolver(resolver)
            case ("ask", _):
                waiting = {id for kind, id in self._waiting if kind == "resolver"}
                self._told = Told(dict(self._sent), frozenset(self.resolvers.keys() - waiting))
                return Ask(self._anew)
            case ("tally", _):
                return Tally()
            case _:
                return Retain(tuple(self.tables), tuple(self.resolvers))

    def _table_body(self, network_id: str) -> Body:
        table, sent = self.tables.get(network_id), self._sent.get(network_id)
        if table is None:
            self._sent.pop(network_id, None)
            return DropTable(network_id)
        return SetTable(table) if sent is None else ChangeTable(table_delta(sent, table))
