"""The network between managers, agents and clients: slow, lossy, and cut where the faults say so."""

from collections.abc import Callable
from random import Random

from tests.sim.clock import Clock


class Network:
    """Carries things between named places. `cut` holds one-way links that carry nothing."""

    def __init__(self, clock: Clock, dice: Random) -> None:
        self._clock, self._dice = clock, dice
        self.cut: set[tuple[str, str]] = set()
        self.loss = self.duplication = 0.0
        self.delay_ms = (0.3, 2.0)
        self.stream_delay_ms_max = 1e9

    def carries(self, source: str, target: str) -> bool:
        """Whether anything goes that way now."""
        return (source, target) not in self.cut

    def throw(self, source: str, target: str, deliver: Callable[[], None]) -> None:
        """Send what may be lost, repeated and overtaken."""
        if not self.carries(source, target) or self._dice.random() < self.loss:
            return
        for _ in range(2 if self._dice.random() < self.duplication else 1):
            self._clock.after(self._delay(), lambda: self._arrive(source, target, deliver))

    def _arrive(self, source: str, target: str, deliver: Callable[[], None]) -> None:
        if self.carries(source, target):
            deliver()

    def _delay(self) -> float:
        low, high = self.delay_ms
        late = self._dice.random() < 0.02
        return self._dice.uniform(low, high) * (30 if late else 1)

    def connect(self, source: str, target: str) -> "Connection":
        """Open what keeps order, and breaks rather than lose."""
        return Connection(self, self._clock, source, target)


class Connection:
    """One stream between two places. A link that is cut for long, or an end that dies, breaks it for both.

    `on_break` has what each end does then, in the order of `ends`.
    """

    break_ms = 10_000  # `limits.keepalive_timeout_ms`: nodes are taken for dead before that

    def __init__(self, network: Network, clock: Clock, source: str, target: str) -> None:
        self._network, self._clock = network, clock
        self.ends = source, target
        self.broken = False
        self.on_break: list[Callable[[], None]] = []
        self._last_ms = {source: 0.0, target: 0.0}

    def send(self, sender: str, deliver: Callable[[], None]) -> None:
        """Send to the other end, behind everything sent before."""
        receiver = self.ends[1] if sender == self.ends[0] else self.ends[0]
        delay = min(self._network._delay(), self._network.stream_delay_ms_max)
        due = max(self._clock.now_ms + delay, self._last_ms[sender])
        self._last_ms[sender] = due
        self._clock.after(due - self._clock.now_ms, lambda: self._arrive(sender, receiver, deliver, due))

    def _arrive(self, sender: str, receiver: str, deliver: Callable[[], None], since_ms: float) -> None:
        if self.broken:
            return
        if self._network.carries(sender, receiver):
            deliver()
        elif self._clock.now_ms - since_ms > self.break_ms:
            self.end()
        else:  # it is sent again, and what follows waits behind it
            self._last_ms[sender] = max(self._last_ms[sender], self._clock.now_ms + 200)
            self._clock.after(200, lambda: self._arrive(sender, receiver, deliver, since_ms))

    def end(self, by: str = "", *, silently: bool = False) -> None:
        """Break it: both ends hear of it, once.

        Where one end breaks it, the other hears of that when it has waited for long if nothing comes through, or if
        that end had no time to say so (`silently`).
        """
        if self.broken:
            return
        self.broken = True
        for place, hear in zip(self.ends, self.on_break, strict=True):
            told = not by or place == by or (not silently and self._network.carries(by, place))
            self._clock.after(1.0 if told else self.break_ms, hear)
