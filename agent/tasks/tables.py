"""Network tables on their way into force: per network one at a time, always the newest."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from covey import limits
from covey.machine import Machine, Tick
from covey.model.objects import ClusterVersion
from covey.model.tables import NetworkTable


@dataclass(frozen=True, slots=True)
class Wanted:
    """A network has this table now; None when it has left the node."""

    network_id: str
    table: NetworkTable | None


@dataclass(frozen=True, slots=True)
class Applied:
    """What was under way for a network has ended, with an error if `error` is not empty."""

    network_id: str
    error: str = ""


Event = Wanted | Applied


@dataclass(frozen=True, slots=True)
class Apply:
    """Put the table into force, or forget the network if it is None; answer with Applied."""

    network_id: str
    table: NetworkTable | None


@dataclass(frozen=True, slots=True)
class InForce:
    """Kernel and DNS server follow this version now."""

    network_id: str
    version: ClusterVersion


@dataclass(frozen=True, slots=True)
class Complain:
    """A table could not be put into force; it will be tried again."""

    network_id: str
    error: str


Effect = Apply | InForce | Complain


@dataclass(slots=True)
class TableQueue:
    """Which tables are under way, and what is wanted next. Failures are tried again after a second."""

    wanted: dict[str, NetworkTable | None] = field(default_factory=dict[str, NetworkTable | None])
    busy: dict[str, NetworkTable | None] = field(default_factory=dict[str, NetworkTable | None])
    retry_at_ms: dict[str, int] = field(default_factory=dict[str, int])
    now_ms: int = 0

    @property
    def wake_ms(self) -> int | None:
        """When the next Tick is needed; None if only an event can change anything."""
        return min(self.retry_at_ms.values(), default=None)

    def step(self, event: Event | Tick) -> Sequence[Effect]:
        """Feed one event; return what the driver must do, in order."""
        match event:
            case Tick(now_ms):
                self.now_ms = now_ms
                due = sorted(id for id, at_ms in self.retry_at_ms.items() if at_ms <= now_ms)
                for network_id in due:
                    del self.retry_at_ms[network_id]
                return [effect for network_id in due for effect in self._next(network_id)]
            case Wanted(network_id, table):
                self.wanted[network_id] = table
                self.retry_at_ms.pop(network_id, None)  # what is new may well go better
                return self._next(network_id)
            case Applied(network_id, error):
                return self._applied(network_id, error)

    def _next(self, network_id: str) -> Sequence[Effect]:
        if network_id in self.busy or network_id not in self.wanted:
            return ()
        table = self.busy[network_id] = self.wanted.pop(network_id)
        return (Apply(network_id, table),)

    def _applied(self, network_id: str, error: str) -> Sequence[Effect]:
        table = self.busy.pop(network_id)
        if error:
            if network_id in self.wanted:
                return (Complain(network_id, error), *self._next(network_id))
            self.wanted[network_id] = table
            self.retry_at_ms[network_id] = self.now_ms + limits.task_retry_delay_ms
            return (Complain(network_id, error),)
        done = () if table is None else (InForce(network_id, table.version),)
        return (*done, *self._next(network_id))


_: type[Machine[Event, Effect]] = TableQueue
