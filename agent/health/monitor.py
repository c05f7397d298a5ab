"""The health of one container, by Docker's rules; pure."""

from dataclasses import dataclass

from msgspec.structs import replace

from agent.runtime.seam import ExecResult
from covey.model.states import HealthState

from .check import Check


@dataclass(slots=True)
class Monitor:
    """One container that is checked. Times are monotonic milliseconds; `since_ms` is when its check began.

    `failed` says how the last check failed, "" if it passed, and `failed_how` the same without what the check
    wrote; `failures` is how many have in a row, of those that count, and `untried` how many could not be run in a
    row, which says nothing of the container. UNHEALTHY is the end: such a container is stopped.
    """

    check: Check
    since_ms: int
    state: HealthState = HealthState.STARTING
    failures: int = 0
    failed: str = ""
    failed_how: str = ""
    untried: int = 0
    _asked_ms: int = 0

    def pause_ms(self, now_ms: int) -> int:
        """How long to wait for the next check from now on, which is when the last one has ended."""
        starting = self.state is HealthState.STARTING
        if starting and now_ms - self.since_ms < self.check.start_period_ms:
            return self.check.start_interval_ms
        return self.check.interval_ms

    def asked(self, now_ms: int) -> None:
        """A check is run from now on."""
        self._asked_ms = now_ms

    def answered(self, result: ExecResult) -> None:
        """The check has ended."""
        self.untried = 0
        if result.code == 0:
            self.state, self.failures, self.failed, self.failed_how = HealthState.HEALTHY, 0, "", ""
            return
        self.failed, self.failed_how = words_of(result), words_of(replace(result, output=""))
        starting = self.state is HealthState.STARTING
        if starting and self._asked_ms - self.since_ms < self.check.start_period_ms:
            return
        self.failures += 1
        if self.failures >= self.check.retries:
            self.state = HealthState.UNHEALTHY


def words_of(result: ExecResult) -> str:
    """How a check failed, in one line."""
    text = result.reason
    if result.code is not None:
        signal = f" (signal {result.code - 128})" if result.code > 128 else ""
        text = f"exit code {result.code}{signal}" + (f": {text}" if text else "")
    said = " ".join(result.output.split())
    return f"{text}: {said}" if said else text
