"""Networks and their tables on their way into force: per network one thing at a time, always the newest."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from covey import limits
from covey.machine import Machine, Tick
from covey.model.objects import ClusterVersion, Network
from covey.model.tables import NetworkTable


class Wish(Struct, frozen=True):
    """What shall hold for one network: first `gone`, if it had left the node; then what is given."""

    gone: bool = False
    network: Network | None = None
    table: NetworkTable | None = None

    def then(self, newer: "Wish") -> "Wish":
        """Both wishes as one."""
        if newer.gone:
            return newer
        return Wish(self.gone, newer.network or self.network, newer.table or self.table)


@dataclass(frozen=True, slots=True)
class Wished:
    """Something shall hold for a network."""

    network_id: str
    wish: Wish


@dataclass(frozen=True, slots=True)
class Applied:
    """What was under way for a network has ended, with an error if `error` is not empty."""

    network_id: str
    error: str = ""


Event = Wished | Applied


@dataclass(frozen=True, slots=True)
class Apply:
    """Make the wish hold in the kernel and the DNS server; answer with Applied."""

    network_id: str
    wish: Wish


@dataclass(frozen=True, slots=True)
class InForce:
    """The kernel follows this version now, and the DNS server has been told."""

    network_id: str
    version: ClusterVersion


@dataclass(frozen=True, slots=True)
class Complain:
    """A wish could not be granted; it will be tried again."""

    network_id: str
    error: str


Effect = Apply | InForce | Complain


@dataclass(slots=True)
class TableQueue:
    """What is under way for each network, and what comes next. Failures are tried again after a second."""

    waiting: dict[str, Wish] = field(default_factory=dict[str, Wish])
    busy: dict[str, Wish] = field(default_factory=dict[str, Wish])
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
                return [effect for network_id in due for effect in self._next(network_id)]
            case Wished(network_id, wish):
                self.waiting[network_id] = self.waiting.get(network_id, Wish()).then(wish)
                return self._next(network_id)
            case Applied(network_id, error):
                return self._applied(network_id, error)

    def _next(self, network_id: str) -> Sequence[Effect]:
        if network_id in self.busy or network_id not in self.waiting:
            return ()
        self.retry_at_ms.pop(network_id, None)
        wish = self.busy[network_id] = self.waiting.pop(network_id)
        return (Apply(network_id, wish),)

    def _applied(self, network_id: str, error: str) -> Sequence[Effect]:
        wish = self.busy.pop(network_id)
        if not error:
            done = () if wish.table is None else (InForce(network_id, wish.table.version),)
            return (*done, *self._next(network_id))
        newer = self.waiting.get(network_id)
        self.waiting[network_id] = wish if newer is None else wish.then(newer)
        if newer is not None:  # what is new may well go better
            return (Complain(network_id, error), *self._next(network_id))
        self.retry_at_ms[network_id] = self.now_ms + limits.task_retry_delay_ms
        return (Complain(network_id, error),)


_: type[Machine[Event, Effect]] = TableQueue
