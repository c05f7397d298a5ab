"""What must be said to the image store, the network and the runtime so that an act is done for a task."""

from dataclasses import dataclass

from agent.dns.feed import Resolver
from agent.health.check import check_of
from agent.network.seam import Sandbox
from covey.model.states import HealthState

from .assigned import WITHHELD, Held
from .container import container_of, image_reference, shares_node, signal_number
from .events import Action, Attach, Close, Create, Discard, Drain, Pull, Release, Signal, Start
from .files import NodeFacts, resolver_of
from .lifecycle import Act, Goal
from .record import Record


@dataclass(slots=True)
class Orders:
    """Makes actions of acts, out of what the managers have said and what is known of the task."""

    node: NodeFacts
    held: Held

    def action(self, record: Record, act: Act) -> Action:
        """What is to be done for `act`, complete with all the doing needs; noted in `record` as far as it matters.

        Raises:
            Refused: it can never be done as the task is.
            Unavailable: the managers have not said everything yet.
        """
        task_id = record.task.id
        match act:
            case Act.PULL:
                spec = self.held.revision_of(record.task).spec.task.container
                auth = None if spec.registry_auth == WITHHELD else spec.registry_auth
                return Pull(task_id, image_reference(spec), auth)
            case Act.ATTACH:
                sandbox = self.sandbox(record)
                record.attached = True  # from here on something may stand,
                record.netns = ""  # and all of it once this has come to an end
                record.awaited = frozenset(a.network.id for a in sandbox.attachments)
                return Attach(task_id, None if self.shares(record) else sandbox)
            case Act.CREATE:
                return self._create(record)
            case Act.START:
                return Start(task_id)
            case Act.CLOSE:
                return Close(task_id)
            case Act.DRAIN:
                leaving = record.leaving
                return Drain(task_id, record.pid, leaving.linger_ms, leaving.withdrawn)
            case Act.SIGNAL:
                return Signal(task_id, act, signal_number(record.stop_signal))
            case Act.KILL:
                return Signal(task_id, act, signal_number("KILL"))
            case Act.RELEASE:
                return Release(task_id)
            case _:
                return Discard(task_id, record.goal is Goal.FORGET)

    def _create(self, record: Record) -> Create:
        revision = self.held.expanded(record.task)
        sandbox = self.sandbox(record)
        resolver = self.resolver(record, sandbox)
        assert record.image is not None
        container = container_of(
            record.task, revision, self.node, record.image, sandbox, record.netns, resolver
        )
        record.stop_signal = container.stop_signal
        record.check = check_of(revision.spec.task.container.health, record.image.config)
        record.health = HealthState.NONE if record.check is None else HealthState.STARTING
        return Create(record.task.id, container, resolver)

    def sandbox(self, record: Record, *, complete: bool = True) -> Sandbox:
        """The task's whole network, or with `complete` False as much of it as is known."""
        return self.held.sandbox(record.task, self.held.revision_of(record.task), complete=complete)

    def shares(self, record: Record) -> bool:
        """Whether the task's container is in the node's own network, and has none of its own."""
        return shares_node(self.held.revision_of(record.task))

    def resolver(self, record: Record, sandbox: Sandbox) -> Resolver | None:
        """How names are looked up in the task's container; None if it asks the node's own servers, or nobody."""
        if sandbox.closed or self.shares(record):
            return None
        spec = self.held.revision_of(record.task).spec.task.container
        return resolver_of(sandbox, record.netns, spec, self.node)


def withholds_credentials(held: Held, record: Record) -> bool:
    """Whether the task's image may need credentials that were not kept on disk, and come with the next session."""
    revision = held.revisions.get(record.task.revision_id)
    return revision is not None and revision.spec.task.container.registry_auth == WITHHELD
