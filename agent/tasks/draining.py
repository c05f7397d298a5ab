"""Taking leave: what a running container waits for, once it is to end, before it gets its stop signal.

No request shall be lost. So first nothing new comes: this node forwards its own ports to it no more, and the
managers say (`Withdrawn`) when no node sends it anything any more, which is waited for a bounded time only: a
node may be cut off. Then the connections it has may end by themselves, for as long as the service says. Only then
is it asked to end. A task that nobody can have a connection to waits for nothing, nor does one whose service wants
no draining.

Nothing of it is on disk: an agent that takes over a task that is to end begins anew.
"""

from dataclasses import dataclass

from covey import limits
from covey.model.objects import Task
from covey.model.states import PublishMode

from .assigned import Held
from .lifecycle import Leave


@dataclass(slots=True)
class Leaving:
    """How one task takes leave. `linger_ms` is how long its connections may go on; 0: nothing is waited for."""

    linger_ms: int = 0
    has_ports: bool = False  # of this node's, forwarded to it
    withdrawn: bool = False
    empty: bool = False  # no connections are left, or they have been waited for
    offered_until_ms: int = 0

    def learn(self, held: Held, task: Task) -> None:
        """Take from the assignments who may use the task, and for how long its service lets them go on."""
        revision = held.revisions.get(task.revision_id)
        if revision is None:
            return
        endpoint = revision.spec.endpoint
        self.has_ports = any(port.publish_mode is PublishMode.HOST for port in endpoint.ports)
        reachable = self.has_ports or bool(held.of_task.get(task.id))
        self.linger_ms = endpoint.drain_ns // 1_000_000 if reachable else 0

    def begin(self, now_ms: int, *, unwell: bool = False) -> None:
        """The task is to end. Connections of an `unwell` one are not waited for. Only the first word counts."""
        if self.offered_until_ms:
            return
        self.offered_until_ms = now_ms + limits.withdrawal_wait_ms
        self.empty = unwell

    def stage(self, now_ms: int) -> Leave:
        """How far it has come, once it has begun."""
        if not self.linger_ms:
            return Leave.DONE
        if self.has_ports:
            return Leave.PORTS
        if not self.withdrawn and now_ms < self.offered_until_ms:
            return Leave.OFFERED
        return Leave.DONE if self.empty else Leave.BUSY
