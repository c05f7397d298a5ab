"""What people do with services and nodes, drawn from the seed. Each is a wish of a `Client`."""

from random import Random
from typing import TYPE_CHECKING

from msgspec.structs import replace

from covey import errors
from covey.model.objects import Node, Revision, Service
from covey.model.specs import (
    ContainerSpec,
    EndpointSpec,
    NetworkAttachmentSpec,
    Placement,
    PortConfig,
    ResourceRequirements,
    Resources,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
    UpdateConfig,
)
from covey.model.states import (
    Availability,
    FailureAction,
    RestartCondition,
    ServiceModeKind,
    UpdateOrder,
)
from manager.control import services
from manager.store.draft import Draft
from manager.store.transaction import Commit
from manager.store.view import BY_SERVICE
from tests.sim.wanted import Fact

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sim.client import Client

_S = 1_000_000_000
_MS = 1_000_000
_JOBS = (ServiceModeKind.REPLICATED_JOB, ServiceModeKind.REPLICATED_JOB, ServiceModeKind.GLOBAL_JOB)
_KINDS = ("good",) * 5 + ("checked",) * 3 + ("far", "deaf", "crash", "wobbly", "absent", "sick", "weary")
_LASTING = (ServiceModeKind.REPLICATED,) * 4 + (ServiceModeKind.GLOBAL,)


def ask(client: "Client", change: "Callable[[Draft, list[Fact]], None]") -> None:
    """Ask for a change; `change` notes what is wanted, and what is acknowledged must come true."""
    facts: list[Fact] = []

    def write(draft: Draft) -> None:
        facts.clear()
        change(draft, facts)

    def outcome(result: Commit | Exception) -> None:
        if isinstance(result, Commit):
            if result.changes:
                client.world.wanted.done(result.index, facts)
        elif not isinstance(result, errors.Refused):
            client.world.wanted.unknown(facts)

    client.ask(lambda leader: leader.update(write, outcome))


# --- specs -------------------------------------------------------------------------------------------


def update_config(dice: Random, order: UpdateOrder) -> UpdateConfig:
    """Draw the rules of a rollout."""
    return UpdateConfig(
        parallelism=dice.choice((0, 1, 1, 2, 3)),
        delay_ns=dice.choice((0, 0, 300 * _MS)),
        failure_action=dice.choice(tuple(FailureAction)),
        monitor_ns=dice.choice((500 * _MS, 2 * _S)),
        max_failure_ratio=dice.choice((0.0, 0.0, 0.5)),
        order=order,
        start_deadline_ns=dice.choice((4 * _S, 15 * _S)),
    )


def image(dice: Random, *, job: bool) -> str:
    """Draw an image, a good one mostly."""
    kinds = ("work", "work", "stumble") if job else _KINDS
    return f"{dice.choice(kinds)}:{dice.randrange(100)}"


def service_spec(dice: Random, name: str, kind: ServiceModeKind) -> ServiceSpec:
    """Draw a whole service."""
    order = dice.choice((UpdateOrder.STOP_FIRST, UpdateOrder.STOP_FIRST, UpdateOrder.START_FIRST))
    networks = (NetworkAttachmentSpec(target="net-a"),) if dice.random() < 0.7 else ()
    ports = (PortConfig(target_port=80),) if dice.random() < 0.3 else ()
    total = dice.randint(1, 6)
    return ServiceSpec(
        name=name,
        task=TaskSpec(
            container=ContainerSpec(image=image(dice, job=kind.job), stop_grace_ns=dice.choice((1, 2)) * _S),
            resources=ResourceRequirements(reservations=Resources(nano_cpus=dice.choice((0, 0, _S)))),
            restart=RestartPolicy(
                condition=dice.choice((RestartCondition.ANY, RestartCondition.ON_FAILURE)),
                delay_ns=dice.choice((0, 200 * _MS, _S)),
            ),
            placement=Placement(
                constraints=dice.choice(((), (), (), ("node.labels.zone==a",))),
                max_replicas_per_node=dice.choice((0, 0, 2)),
            ),
            networks=networks,
        ),
        mode=ServiceMode(
            kind=kind,
            replicas=dice.randint(1, 5),
            total_completions=total if kind is ServiceModeKind.REPLICATED_JOB else 0,
            max_concurrent=dice.choice((0, 1, 2)) if kind is ServiceModeKind.REPLICATED_JOB else 0,
        ),
        endpoint=EndpointSpec(ports=ports, drain_ns=dice.choice((0, 300 * _MS, 2 * _S))),
        update=update_config(dice, order),
        rollback=replace(update_config(dice, order), failure_action=FailureAction.PAUSE),
    )


# --- services ----------------------------------------------------------------------------------------


def create(client: "Client") -> None:
    """Make a service that lasts."""
    _create(client, client.dice.choice(_LASTING))


def create_job(client: "Client") -> None:
    """Make a job."""
    _create(client, client.dice.choice(_JOBS))


def _create(client: "Client", kind: ServiceModeKind) -> None:
    world, dice = client.world, client.dice
    if world.services_made >= world.faults.services_max:
        return
    world.services_made += 1
    spec = service_spec(dice, world.new_name("service"), kind)

    def change(draft: Draft, facts: list[Fact]) -> None:
        service = services.create_service(draft, spec, dice)
        facts += _facts(service.id, spec)

    ask(client, change)


def _facts(id: str, spec: ServiceSpec) -> list[Fact]:
    return [(id, "image", spec.task.container.image), (id, "replicas", spec.mode.replicas)]


def _one(client: "Client", draft: Draft) -> Service | None:
    there = [service for service in draft.all(Service) if not service.pending_delete]
    return client.dice.choice(there) if there else None


def _update(client: "Client", alter: "Callable[[ServiceSpec], ServiceSpec]", *, force: bool = False) -> None:
    def change(draft: Draft, facts: list[Fact]) -> None:
        service = _one(client, draft)
        if service is None:
            return
        revision = draft.get(Revision, service.revision_id)
        assert revision is not None
        spec = alter(revision.spec)
        services.update_service(draft, service.id, service.meta.version, spec, client.dice, force=force)
        facts += _facts(service.id, spec)

    ask(client, change)


def change_image(client: "Client") -> None:
    """Update a service to another image, and half of the time with other rules."""
    dice = client.dice

    def alter(spec: ServiceSpec) -> ServiceSpec:
        container = replace(spec.task.container, image=image(dice, job=spec.mode.kind.job))
        if dice.random() < 0.5:
            spec = replace(spec, update=update_config(dice, spec.update.order))
        return replace(spec, task=replace(spec.task, container=container))

    _update(client, alter)


def mend(client: "Client") -> None:
    """Update a service to an image that runs."""

    def alter(spec: ServiceSpec) -> ServiceSpec:
        name = f"{'work' if spec.mode.kind.job else 'good'}:{client.dice.randrange(100)}"
        return replace(spec, task=replace(spec.task, container=replace(spec.task.container, image=name)))

    _update(client, alter)


def scale(client: "Client") -> None:
    """Ask for another number of replicas."""
    wanted = client.dice.randint(0, 6)

    def alter(spec: ServiceSpec) -> ServiceSpec:
        return replace(spec, mode=replace(spec.mode, replicas=wanted))

    _update(client, alter)


def let_go_on(client: "Client") -> None:
    """Ask for what is asked for already: a rollout that is paused goes on."""
    _update(client, lambda spec: spec)


def restart(client: "Client") -> None:
    """Replace all tasks of a service."""
    _update(client, lambda spec: spec, force=True)


def roll_back(client: "Client") -> None:
    """Bring back the revision before, or a certain one."""

    def change(draft: Draft, facts: list[Fact]) -> None:
        service = _one(client, draft)
        if service is None:
            return
        now_ns = int(client.world.clock.now_ms * 1e6)
        numbers = sorted(r.number for r in draft.find(Revision, BY_SERVICE, service.id))
        to = client.dice.choice((0, client.dice.choice(numbers)))
        services.roll_back_service(draft, service.id, service.meta.version, to, client.dice, now_ns=now_ns)
        after = draft.get(Service, service.id)
        assert after is not None
        revision = draft.get(Revision, after.revision_id)
        assert revision is not None
        facts += _facts(service.id, revision.spec)

    ask(client, change)


def stop_or_start(client: "Client") -> None:
    """Stop a service, or start one that was."""

    def change(draft: Draft, facts: list[Fact]) -> None:
        service = _one(client, draft)
        if service is not None:
            act = services.start_service if service.stopped else services.stop_service
            act(draft, service.id)
            facts.append((service.id, "stopped", not service.stopped))

    ask(client, change)


def remove(client: "Client") -> None:
    """Remove a service; another may be made instead."""

    def change(draft: Draft, facts: list[Fact]) -> None:
        service = _one(client, draft)
        if service is not None:
            services.remove_service(draft, service.id)
            facts.append((service.id, "gone", True))
            client.world.services_made -= 1

    ask(client, change)


# --- nodes -------------------------------------------------------------------------------------------


def _workers(client: "Client", draft: Draft) -> list[Node]:
    return [node for agent in client.world.agents if (node := draft.get(Node, agent.name)) is not None]


def change_availability(client: "Client") -> None:
    """Drain, pause or activate a node. Two stay active, or nothing would ever run. Some drain one, and regret it."""
    dice = client.dice
    drained: list[str] = []

    def change(draft: Draft, facts: list[Fact]) -> None:
        workers = _workers(client, draft)
        active = sum(node.spec.availability is Availability.ACTIVE for node in workers)
        node = dice.choice(workers)
        wanted = dice.choice(
            (Availability.ACTIVE, Availability.DRAIN, Availability.DRAIN, Availability.PAUSE)
        )
        if wanted is not Availability.ACTIVE and active <= 2:
            wanted = Availability.ACTIVE
        put(draft, node, wanted, facts)
        drained[:] = [node.id] * (wanted is Availability.DRAIN)

    def put(draft: Draft, node: Node, wanted: Availability, facts: list[Fact]) -> None:
        deadline_ns = dice.choice((0, 2 * _S, 10 * _S))
        spec = replace(node.spec, availability=wanted, drain_deadline_ns=deadline_ns)
        draft.put(replace(node, spec=spec))
        facts.append((node.id, "availability", wanted))

    def regret(draft: Draft, facts: list[Fact]) -> None:
        node = draft.get(Node, drained[0]) if drained else None
        if node is not None:
            put(draft, node, Availability.ACTIVE, facts)

    ask(client, change)
    if dice.random() < 0.4 and not client.world.calm:
        client.world.clock.after(dice.uniform(50.0, 2_000.0), lambda: ask(client, regret))


def change_label(client: "Client") -> None:
    """Give a node another label, by which services are placed."""

    def change(draft: Draft, facts: list[Fact]) -> None:
        node = client.dice.choice(_workers(client, draft))
        zone = client.dice.choice(("a", "a", "b"))
        draft.put(replace(node, spec=replace(node.spec, labels={"zone": zone})))
        facts.append((node.id, "zone", zone))

    ask(client, change)
