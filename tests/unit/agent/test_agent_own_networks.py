"""Tasks on the networks that every node has of itself: `host`, `none` and `bridge`."""

from agent.dns.feed import Upstream
from agent.images.seam import ImageConfig, LocalImage
from agent.network.desired.task import has_way_out
from agent.network.seam import Sandbox
from agent.runtime.seam import HOST_NETNS
from agent.tasks.assigned import Held
from agent.tasks.container import container_of
from agent.tasks.events import Assigned, Attach, Create, Rebuild, Restored
from agent.tasks.files import NodeFacts, own_resolv_conf
from covey.model.assignments import AssignmentSet
from covey.model.objects import Revision, Task
from covey.model.specs import ContainerSpec, DnsConfig, NetworkAttachmentSpec, ServiceSpec, TaskSpec
from tests.support.agent_world import World, full, revision, task

NODE = NodeFacts("n1", "host1", (Upstream("127.0.0.53"),), ("example.org",), ("timeout:1",))


def on(name: str) -> Revision:
    spec = ServiceSpec(
        name="web",
        task=TaskSpec(
            container=ContainerSpec(image="i", command=("run",)), networks=(NetworkAttachmentSpec(name),)
        ),
    )
    return Revision(id=revision().id, service_id="web", spec=spec)


def assigned(name: str) -> Assigned:
    message = full(task("t1"))
    return Assigned(
        type(message)(
            full=True,
            version=message.version,
            changed=AssignmentSet(tasks=message.changed.tasks, revisions=(on(name),)),
        )
    )


def actions_of(name: str) -> dict[type, object]:
    world = World()
    world.settle()
    world.step(assigned(name))
    world.run()
    assert world.starts == ["t1"]
    return {type(effect): effect for effect in world.effects}


def test_a_task_on_the_nodes_network_gets_none_of_its_own() -> None:
    actions = actions_of("host")
    attach, create = actions[Attach], actions[Create]
    assert isinstance(attach, Attach)
    assert attach.sandbox is None
    assert isinstance(create, Create)
    assert (create.resolver, create.container.netns) == (None, HOST_NETNS)


def test_a_task_on_no_network_is_closed_and_asks_nobody() -> None:
    actions = actions_of("none")
    attach, create = actions[Attach], actions[Create]
    assert isinstance(attach, Attach)
    assert attach.sandbox == Sandbox("t1", closed=True)
    assert not has_way_out(Sandbox("t1", closed=True))
    assert isinstance(create, Create)
    assert create.resolver is None
    assert create.container.netns != HOST_NETNS


def test_a_task_on_the_bridge_is_as_one_that_names_no_network() -> None:
    attach = actions_of("bridge")[Attach]
    assert isinstance(attach, Attach)
    assert attach.sandbox == Sandbox("t1")


def test_after_a_start_of_the_agent_nothing_is_rebuilt_for_the_nodes_network() -> None:
    before = World()
    before.settle()
    before.step(assigned("host"))
    before.run()
    machine = before.machine
    locals_ = {id: record.local for id, record in machine.records.items()}
    after = World()
    rebuilt = after.machine.step(Restored(assigned("host").assignments.changed, locals_, ()))
    rebuild = next(effect for effect in rebuilt if isinstance(effect, Rebuild))
    assert (rebuild.sandboxes, rebuild.resolvers) == ((), ())


def container(name: str, **spec: object) -> tuple[str, str]:
    own = ContainerSpec(image="i", command=("run",), **spec)  # type: ignore[arg-type]
    networks = (NetworkAttachmentSpec(name),)
    wanted = Revision(id="r", spec=ServiceSpec(name="web", task=TaskSpec(container=own, networks=networks)))
    one, held = Task(id="t" * 25), Held()
    image = LocalImage("i", ("/l",), ImageConfig())
    made = container_of(one, wanted, NODE, image, held.sandbox(one, wanted), "/netns/t", None)
    return made.hostname, made.resolv_conf


def test_on_the_nodes_network_a_container_is_called_and_asks_as_the_node() -> None:
    assert container("host") == (
        "host1",
        "nameserver 127.0.0.53\nsearch example.org\noptions timeout:1\n",
    )
    assert container("host", hostname="mine")[0] == "mine"
    assert container("none") == ("t" * 12, "# this container has no network\n")
    dns = DnsConfig(nameservers=("192.0.2.53",), search=(".",))
    own = own_resolv_conf(ContainerSpec(dns=dns), NODE, shared=True)
    assert own == "nameserver 192.0.2.53\noptions timeout:1\n"
