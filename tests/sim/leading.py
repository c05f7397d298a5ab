"""What a manager does while it leads: the planners, the dispatcher and the roles, each the real machine."""

from random import Random
from typing import TYPE_CHECKING

from msgspec.structs import replace

import agent.session.messages as down
from covey import errors, limits
from covey.machine import Tick
from covey.model.objects import Node
from manager.dispatcher import events
from manager.dispatcher.sessions import Sessions
from manager.dispatcher.writes import write_node, write_statuses
from manager.leader.machine import Changed, Committed, Leader, Refused
from manager.leader.machine import Commit as Propose
from manager.roles import quorum
from manager.roles.planner import PromoteLearner, RemoveMember, TransferLeadership, plan
from manager.roles.seam import Facts
from manager.store.draft import Draft
from manager.store.transaction import Commit

if TYPE_CHECKING:
    from tests.sim.agent import Line
    from tests.sim.manager import Manager

_ROLES_MS = 200


class Leading:
    """One leadership: made when its first entry was applied, ended with its term."""

    def __init__(self, manager: "Manager", term: int) -> None:
        self.manager, self.world, self.term = manager, manager.world, term
        self.over = False
        dice = Random(f"{self.world.seed} {self.world.new_name('term')}")  # one may begin anew within a term
        self.planners = Leader(manager.tables, dice, self._now(), manager.wall_ns)
        self.sessions = Sessions(manager.tables)
        self.lines: dict[str, Line] = {}
        self._writes: list[events.WriteNode | events.WriteStatuses] = []
        self._writing = False
        self._wake_ms: float | None = None

    def begin(self) -> None:
        """Start the timers."""
        self.world.tell(f"   {self.manager.name} leads in term {self.term}")
        self._beat()
        self._roles()
        self.settle()

    def end(self) -> None:
        """Send the agents elsewhere."""
        self.over = True
        for line in list(self.lines.values()):
            line.say(down.Redirect("", self.world.addresses()))
            line.hang_up()

    def _now(self) -> int:
        return int(self.manager.now_ms)

    # --- planning ---

    def committed(self, commit: Commit) -> None:
        """Hear of a commit."""
        self.planners.step(Changed(commit))
        self.perform(self.sessions.step(events.Committed(commit)))
        self.settle()

    def settle(self) -> None:
        """Be there when the planners next want to know the time."""
        due = self.planners.wake_at_ms
        if due is not None and (self._wake_ms is None or due < self._wake_ms):
            self._wake_ms = max(due, self.manager.now_ms)
            wait = self._wake_ms - self.manager.now_ms + 0.01  # or a rounding error keeps it from ever coming
            self.world.clock.after(wait, self._wake)

    def _wake(self) -> None:
        if self.over:
            return
        self._wake_ms = None
        for effect in self.planners.step(Tick(self._now())):
            self._propose(effect)
        self.settle()

    def _propose(self, effect: Propose) -> None:
        def outcome(result: Commit | Exception) -> None:
            if self.over:
                return
            if isinstance(result, Commit):
                self.planners.step(Committed())
            elif isinstance(result, errors.Refused):
                self.planners.step(Refused(result))
            else:
                self._doubt()
            self.settle()

        self.world.rollouts.planned(effect.transaction, self.manager.tables.index)
        self.manager.commit(effect.transaction, outcome)

    def _doubt(self) -> None:
        """Leadership is lost, or will be in a moment; if not, all that leaders do begins anew."""

        def begin_anew() -> None:
            if self.manager.leading is self:
                self.manager.stop_leading()
                self.manager.work()

        self.world.clock.after(limits.leadership_doubt_ms, begin_anew)

    # --- agents ---

    def hear(self, event: events.Event) -> None:
        """Take an agent's word."""
        if not self.over:
            self.perform(self.sessions.step(event))

    def _beat(self) -> None:
        if not self.over:
            self.perform(self.sessions.step(Tick(self._now())))
            self.world.clock.after(25, self._beat)

    def perform(self, effects: object) -> None:
        """Do what the dispatcher wants done, in its order."""
        for effect in effects:  # type: ignore[attr-defined]
            match effect:
                case events.WriteNode() | events.WriteStatuses():
                    self._writes.append(effect)
                    self._write()
                case events.StartSession(id, period_ms, version, _):
                    self._tell(id, down.SessionStarted(id, period_ms, version, self.world.addresses()))
                case events.AnswerAlive(id):
                    self._tell(id, down.Alive())
                case events.TellMembership(id, role, _):
                    self._tell(id, down.Membership(role, self.world.addresses()))
                case events.Send(id, message):
                    self._tell(id, message)
                case events.TellWithdrawn(id, task_ids):
                    self.world.runs.withdrawn(task_ids, self.manager.tables)
                    self._tell(id, down.Withdrawn(task_ids))
                case events.Acknowledge(id, sequence):
                    self._tell(id, down.StatusAcknowledged(sequence))
                case events.EndSession(id, _):
                    if id in self.lines:
                        self.lines[id].hang_up()

    def _tell(self, session_id: str, message: down.Down) -> None:
        if session_id in self.lines:
            self.lines[session_id].say(message)

    def _write(self) -> None:
        if self._writing or not self._writes or self.over:
            return
        batch, self._writes = self._writes, []
        self._writing = True

        def change(draft: Draft) -> None:
            for item in batch:
                if isinstance(item, events.WriteNode):
                    write_node(draft, item)
                else:
                    write_statuses(draft, item.reports)

        def outcome(result: Commit | Exception) -> None:
            self._writing = False
            if self.over:
                return
            if isinstance(result, errors.Unavailable):
                self._doubt()
            elif isinstance(result, errors.Refused):
                self._writes = batch + self._writes
            elif isinstance(result, Commit):
                done = [
                    pair
                    for item in batch
                    if isinstance(item, events.WriteStatuses)
                    for pair in item.acknowledged
                ]
                if done:
                    self.perform(self.sessions.step(events.StatusesWritten(tuple(done))))
            self._write()

        self.manager.update(change, outcome)

    # --- who manages ---

    def _roles(self) -> None:
        if self.over or self.manager.core is None:
            return
        core = self.manager.core
        facts = Facts(core.membership, core.committed_membership, core.status())
        wanted = plan(self.manager.tables, facts)
        for step in wanted.roles:

            def write(draft: Draft, step: object = step) -> None:
                node = draft.get(Node, step.node_id)  # type: ignore[attr-defined]
                if node is not None and node.spec.role is step.role:  # type: ignore[attr-defined]
                    draft.put(replace(node, role=step.role))  # type: ignore[attr-defined]

            self.manager.update(write, lambda _result: None)
        try:
            match wanted.change:
                case RemoveMember(id=id) if quorum.can_remove(
                    core.membership, id, quorum.present(core.status())
                ):
                    core.change(quorum.without(core.membership, id))
                    self.world.faults.changed(self.manager)
                case PromoteLearner(id=id):
                    member = core.membership.get(id)
                    if member is not None:
                        core.change(quorum.with_member(core.membership, replace(member, voter=True)))
                        self.world.faults.changed(self.manager)
                case TransferLeadership(to=to):
                    core.transfer(to)
        except (errors.FailedPrecondition, errors.NotLeader):
            pass
        self.manager.work()
        self.world.clock.after(_ROLES_MS, self._roles)
