"""The agent's one loop: events to the machines, their effects to the world. Decides nothing."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import agent.session.events as talk
import agent.tasks.events as work
from agent.audit.driver import Auditor
from agent.audit.known import known, processes
from agent.audit.server import AuditServer
from agent.balancers.answers import Answers
from agent.balancers.server import HealthPorts
from agent.dns.seam import Names
from agent.health.checks import Probe
from agent.images.seam import Images
from agent.logs.client import LogPublisher
from agent.machines import Effect, Event, Machines
from agent.network.seam import Networks
from agent.runtime.seam import Runtime
from agent.session.client import Streams
from agent.session.machine import Session
from agent.session.messages import AuditAnswer, AuditQuestion, Membership
from agent.tasks import tables
from agent.tasks.io.actions import Hands
from agent.tasks.io.db import Database, Remembered, Stored
from agent.tasks.lifecycle import Act
from agent.tasks.machine import Tasks
from agent.tasks.tables import Wish, Wished
from agent.tunnels.seam import Tunnels
from covey import limits
from covey.errors import CoveyError, Unavailable
from covey.io.clock import now_ms
from covey.model.audit import AuditReport, summary
from covey.model.objects import ClusterVersion
from covey.wire.client import Channel

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What an agent is made of.

    `connect` gives a channel to the manager at an address; `follow` has coveyd make this node what the managers
    want it to be, and raises what coveyd answers. By `audits` root on this host asks.
    """

    runtime: Runtime
    images: Images
    networks: Networks
    tunnels: Tunnels
    names: Names
    database: Database
    connect: Callable[[str], Channel]
    follow: Callable[[Membership], Coroutine[None, None, None]]
    audits: AuditServer = field(default_factory=AuditServer)


class Agent:
    """One node's agent. `run` it until it is cancelled; containers go on then."""

    def __init__(self, parts: Parts, session: Session, tasks: Tasks, stored: Stored) -> None:
        self.session = session
        self.tasks = tasks
        self._machines = Machines(session, tasks, self._do)
        self._parts = parts
        self._stored = stored
        self._inbox: asyncio.Queue[Event] = asyncio.Queue()
        self._group = asyncio.TaskGroup()
        post = self._inbox.put_nowait
        self._hands = Hands(parts.runtime, parts.images, parts.networks, parts.names, parts.database, post)
        self._streams = Streams(parts.connect, self._spawn, post)
        self._logs = LogPublisher(
            parts.connect, self._spawn, parts.runtime.log_path, tasks.is_over, tasks.node.node_id
        )
        self.auditor = Auditor(
            parts.runtime,
            parts.images,
            parts.networks,
            parts.names,
            lambda: known(tasks.records.values(), tasks.held.revisions),
        )
        self._health_ports, self._answers = HealthPorts(), Answers(tasks.node.node_id)
        self._long: dict[str, asyncio.Task[None]] = {}  # actions that may be called off, by their tasks

    async def run(self) -> None:
        """Take over what a former agent left, then serve until cancelled.

        An error of our own in anything that runs ends the whole: a fresh agent takes over.
        """
        async with self._group:
            self._spawn(self._parts.database.run(), "agent database")
            await self._take_over()
            self._parts.audits.answer = self._audit_here
            self._spawn(self.auditor.periodic(self.session.dice, self._tell_counts), "audits")
            self._spawn(self._remark(), "remarks")
            self._spawn(self._tell_keys(), "keys of tunnels")
            self._spawn(self._health_ports.run(), "health ports")
            while True:
                await self._turn()

    async def _take_over(self) -> None:
        observed = tuple(await self._parts.runtime.list())
        self._tell_time()
        effects = self.tasks.step(work.Restored(self._stored.assigned, self._stored.locals, observed))
        rebuild, *rest = effects
        assert isinstance(rebuild, work.Rebuild), "what stands is made right before anything else is done"
        held = list(self.session.tables.values())
        log.info("taking over %d tasks and %d containers", len(self._stored.assigned.tasks), len(observed))
        living = processes(observed)
        denied = await self._parts.networks.reconcile(rebuild.networks, held, rebuild.sandboxes, living)
        self._parts.names.reset(held, rebuild.resolvers)
        # before the node registers: of one that has no keys, others take the tunnels down
        self._machines.hear(talk.KeysChanged(await self._parts.tunnels.keys()))
        self._machines.perform(rest)
        self._machines.perform(
            tables.InForce(each.network_id, each.version) for each in held if each.network_id not in denied
        )
        for network in rebuild.networks:
            if network.id in denied:
                wish = Wish(network=network, table=self.session.tables.get(network.id))
                self._machines.hear(Wished(network.id, wish))

    async def _turn(self) -> None:
        """Wait for something to happen, or for the time somebody wants to know, and act on it."""
        events: list[Event] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s()):
                events.append(await self._inbox.get())
        while not self._inbox.empty() and len(events) < limits.agent_events_per_turn:
            events.append(self._inbox.get_nowait())
        self._tell_time()
        for event in events:
            self._machines.hear(event)

    def _patience_s(self) -> float | None:
        due_ms = self._machines.wake_ms
        return None if due_ms is None else max(0, due_ms - now_ms()) / 1000

    def _tell_time(self) -> None:
        self._machines.tell_time(now_ms(), time.time_ns())

    def _do(self, effect: Effect) -> Sequence[Event]:
        """Do one effect's part outside the machines."""
        match effect:
            case talk.Assign() | talk.TellWithdrawn():
                pass  # for the tasks alone
            case talk.UseTable(table, change):
                self._parts.database.tables.use(table, change)
            case talk.DropTable(network_id):
                self._parts.database.tables.drop(network_id)
                self._answer_balancers()
            case tables.InForce(network_id, version):
                self._answer_balancers()
                self._spawn(self._confirm(network_id, version), f"confirm {network_id}")
            case tables.Complain(network_id, error):
                log.error("network %s is not as it should be, trying again: %s", network_id, error)
            case talk.Follow(membership):
                self._spawn(self._follow(membership), "follow membership")
            case talk.Audit(question):
                self._spawn(self._audit(question), f"audit {question.audit_id}")
            case talk.Dial() | talk.Send() | talk.HangUp() | talk.Remember() | talk.Subscribe():
                self._converse(effect)
            case _:
                self._work(effect)
        return ()

    async def _audit(self, question: AuditQuestion) -> None:
        """Audit for a manager."""
        self._inbox.put_nowait(talk.Audited(await self._audited(question)))

    async def _audit_here(self, question: AuditQuestion) -> AuditAnswer:
        """Audit for somebody on this host; to the end, though they may go away."""
        answered: asyncio.Future[AuditAnswer] = asyncio.get_running_loop().create_future()

        async def work() -> None:
            answer = await self._audited(question)
            if not answered.done():
                answered.set_result(answer)

        self._spawn(work(), "audit for this host")
        return await answered

    async def _audited(self, question: AuditQuestion) -> AuditAnswer:
        """Audit, and have the counts in the node's description."""
        answer = await self.auditor.answer(question)
        if not answer.refusal:
            self._tell_counts(answer.report)
        return answer

    def _tell_counts(self, report: AuditReport) -> None:
        self._inbox.put_nowait(talk.AuditedItself(summary(report)))

    def _answer_balancers(self) -> None:
        self._health_ports.follow(self._answers.of(self.session.tables.values()))

    async def _remark(self) -> None:
        """Tell the managers what on this host stands in the networks' way, whenever that is something else."""
        networks, told = self._parts.networks, talk.Remarked(())
        while True:
            remarks = networks.remarks() + self._health_ports.remarks() + self._parts.names.remarks()
            if (now := talk.Remarked(remarks, networks.interfaces())) != told:
                told = now
                self._inbox.put_nowait(now)
            await asyncio.sleep(limits.network_remarks_s)

    async def _tell_keys(self) -> None:
        """Tell the managers the public keys of this node's tunnels, as soon as they are others."""
        told = self.session.description.networking.tunnel_keys
        while True:
            told = await self._parts.tunnels.keys(told)
            self._inbox.put_nowait(talk.KeysChanged(told))

    async def _confirm(self, network_id: str, version: ClusterVersion) -> None:
        """Say that a table is in force once names follow it, too; the kernel's next table need not wait for that."""
        try:
            await self._parts.names.follows(network_id)
        except Unavailable as error:
            log.warning("traffic follows the table, names perhaps not yet: %s", error)
        self._inbox.put_nowait(talk.TableInForce(network_id, version))

    async def _follow(self, membership: Membership) -> None:
        try:
            await self._parts.follow(membership)
        except (CoveyError, OSError) as error:
            log.warning("coveyd does not follow yet, and is told again: %s", error)
            self._inbox.put_nowait(talk.Followed(ok=False))
        else:
            self._inbox.put_nowait(talk.Followed(ok=True))

    def _converse(self, effect: talk.Dial | talk.Send | talk.HangUp | talk.Remember | talk.Subscribe) -> None:
        match effect:
            case talk.Dial(number, address):
                log.info("session %d: dialling the manager at %s", number, address)
                self._streams.dial(number, address)
            case talk.Send(number, message):
                self._streams.send(number, message)
            case talk.HangUp(number, reason):
                log.warning("session %d ended: %s", number, reason)
                self._streams.hang_up(number)
                self._logs.session_ended()
            case talk.Remember(last_seen, managers):
                self._parts.database.put("session", "", Remembered(last_seen, managers))
            case talk.Subscribe(subscription):
                self._logs.subscribe(subscription, self.session.address)

    def _work(self, effect: work.Effect | tables.Apply) -> None:
        hands, ticket = self._hands, self._parts.database.ticket
        match effect:
            case work.Save(kind, id, value):
                self._parts.database.put(kind, id, value)
            case work.Pull(task_id) | work.Drain(task_id):
                act = Act.PULL if isinstance(effect, work.Pull) else Act.DRAIN
                task = self._spawn(hands.perform(effect, ticket), f"{act} {task_id}")
                task.add_done_callback(lambda done: self._ended(task_id, act, done))
                self._long[task_id] = task
            case work.Cancel(task_id):
                if task_id in self._long:
                    self._long[task_id].cancel()
            case Probe(task_id):
                self._spawn(hands.probe(effect), f"probe {task_id}")
            case work.Watch(task_id):
                self._spawn(hands.watch(task_id), f"watch {task_id}")
            case work.Sweep(container_ids):
                log.warning("%d containers belong to no task here and are removed", len(container_ids))
                for container_id in container_ids:
                    self._spawn(hands.sweep(container_id), f"sweep {container_id}")
            case tables.Apply(network_id):
                self._spawn(hands.grant(effect), f"network {network_id}")
            case (
                work.Attach()
                | work.Create()
                | work.Start()
                | work.Close()
                | work.Signal()
                | work.Release()
                | work.Discard()
            ):
                self._spawn(hands.perform(effect, ticket), f"{type(effect).__name__} {effect.task_id}")

    def _ended(self, task_id: str, act: Act, done: asyncio.Task[None]) -> None:
        self._long.pop(task_id, None)
        if done.cancelled():
            given_up = work.Failure(work.Trouble.PASSING, f"to {act} was given up")
            self._inbox.put_nowait(work.Finished(task_id, act, failure=given_up))

    def _spawn(self, coroutine: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        return self._group.create_task(coroutine, name=name)
