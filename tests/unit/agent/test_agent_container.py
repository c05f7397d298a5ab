import pytest
from msgspec.structs import replace

from agent.dns.feed import ResolverNetwork, Upstream
from agent.images.seam import ImageConfig, LocalImage
from agent.network.seam import Attachment, Sandbox
from agent.runtime.seam import Container
from agent.tasks.container import container_of, image_reference, signal_number
from agent.tasks.files import NodeFacts, hosts_file, resolver_of
from covey.errors import InvalidArgument
from covey.model.objects import Endpoint, Network, Revision, Task
from covey.model.specs import (
    ContainerSpec,
    DnsConfig,
    GenericResource,
    Mount,
    NetworkSpec,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
)
from covey.model.states import MountKind, ServiceModeKind

NODE = NodeFacts("n1", "host1", (Upstream("9.9.9.9"),), ("example.org",))
FRONT = Network(id="net", spec=NetworkSpec(name="front"))
INGRESS = Network(id="ing", spec=NetworkSpec(name="ingress", ingress=True))
SANDBOX = Sandbox(
    "task1",
    (
        Attachment(FRONT, Endpoint(id="e1", addresses=("10.0.0.5",))),
        Attachment(INGRESS, Endpoint(id="e2", addresses=("10.255.0.5",))),
    ),
)
REPLICATED = ServiceMode()
IMAGE = ImageConfig(
    entrypoint=("/entry",),
    cmd=("serve",),
    env=("PATH=/bin", "MODE=image", "GONE=1"),
    user="nobody",
    workdir="/srv",
    stop_signal="SIGQUIT",
    volumes=("/data", "/cache/"),
    labels={"from": "image"},
)


def made(
    spec: ContainerSpec,
    image: ImageConfig = IMAGE,
    mode: ServiceMode = REPLICATED,
    generic: tuple[GenericResource, ...] = (),
) -> Container:
    slot = 0 if mode.kind.everywhere else 3
    task = Task(id="task1" + "x" * 20, service_id="web", slot=slot, node_id="n1", generic=generic)
    revision = Revision(id="r1", spec=ServiceSpec(name="web", task=TaskSpec(container=spec), mode=mode))
    resolver = resolver_of(SANDBOX, "/netns/task1", spec, NODE)
    return container_of(
        task, revision, NODE, LocalImage("i", ("/l",), image), SANDBOX, "/netns/task1", resolver
    )


@pytest.mark.parametrize(
    ("command", "args", "argv"),
    [
        ((), (), ("/entry", "serve")),
        ((), ("debug",), ("/entry", "debug")),
        (("/other",), (), ("/other",)),
        (("/other", "-x"), ("y",), ("/other", "-x", "y")),
    ],
)
def test_command_and_args_replace_entrypoint_and_cmd(
    command: tuple[str, ...], args: tuple[str, ...], argv: tuple[str, ...]
) -> None:
    assert made(ContainerSpec(command=command, args=args)).args == argv


def test_an_image_that_says_nothing_needs_a_command() -> None:
    with pytest.raises(InvalidArgument, match="give the service a command"):
        made(ContainerSpec(image="empty:1"), ImageConfig())


def test_the_environment_is_the_images_then_the_specs_then_ours() -> None:
    env = dict(
        e.split("=", 1) for e in made(ContainerSpec(env=("MODE=spec", "GONE", "COVEY_NODE_NAME=fake"))).env
    )
    assert env == {
        "PATH": "/bin",
        "HOSTNAME": "task1xxxxxxx",
        "MODE": "spec",
        "COVEY_TASK_NAME": "web.3.task1xxxxxxxxxxxxxxxxxxxx",
        "COVEY_NODE_NAME": "host1",
        "COVEY_SERVICE_NAME": "web",
    }
    bare = made(ContainerSpec(), ImageConfig(cmd=("x",)), ServiceMode(kind=ServiceModeKind.GLOBAL))
    assert bare.env[0].startswith("PATH=/usr/local/sbin:")
    assert "COVEY_TASK_NAME=web.n1.task1xxxxxxxxxxxxxxxxxxxx" in bare.env


def test_a_container_is_told_which_generic_resources_it_has() -> None:
    generic = (
        GenericResource("gpu", "UUID-1", 1),
        GenericResource("ssd", count=2),
        GenericResource("gpu", "UUID-2", 1),
    )
    env = made(ContainerSpec(env=("DOCKER_RESOURCE_GPU=mine",)), generic=generic).env
    assert "DOCKER_RESOURCE_GPU=UUID-1,UUID-2" in env
    assert "DOCKER_RESOURCE_SSD=2" in env
    assert sum(entry.startswith("DOCKER_RESOURCE_GPU=") for entry in env) == 1


def test_the_image_is_honoured_where_the_spec_is_silent() -> None:
    container = made(ContainerSpec())
    assert (container.user, container.cwd, container.stop_signal) == ("nobody", "/srv", "SIGQUIT")
    assert container.labels["from"] == "image"
    assert container.labels["covey.service.name"] == "web"
    container = made(ContainerSpec(user="7:8", workdir="/w", stop_signal="SIGINT", hostname="db"))
    assert (container.user, container.cwd, container.stop_signal, container.hostname) == (
        "7:8",
        "/w",
        "SIGINT",
        "db",
    )
    assert made(ContainerSpec(), ImageConfig(cmd=("x",))).cwd == "/"


def test_image_volumes_that_no_mount_covers_are_anonymous() -> None:
    mine = Mount(kind=MountKind.BIND, source="/host", target="/cache")
    assert made(ContainerSpec(mounts=(mine,))).mounts == (mine, Mount(kind=MountKind.VOLUME, target="/data"))


def test_hosts_has_the_own_name_and_the_users() -> None:
    text = hosts_file("web-1", SANDBOX, ("db:10.1.2.3", "10.9.9.9 a b", "v6:fe80::1"))
    assert text.splitlines()[-4:] == ["10.1.2.3\tdb", "10.9.9.9\ta b", "fe80::1\tv6", "10.0.0.5\tweb-1"]
    assert text.startswith("127.0.0.1\tlocalhost\n")
    assert hosts_file("web-1", Sandbox("t"), ()).endswith("127.0.1.1\tweb-1\n")


@pytest.mark.parametrize("own", [("10.0.0.5", "fd00::a00:5"), ("fd00::5",)])
def test_hosts_has_the_own_name_in_each_family(own: tuple[str, ...]) -> None:
    there = Sandbox("t", (Attachment(FRONT, Endpoint(addresses=own)),))
    expected = [f"{address}\tweb-1" for address in own]
    assert hosts_file("web-1", there, ()).splitlines()[-len(own) :] == expected


def test_hosts_has_no_address_that_the_host_gives_nobody() -> None:
    there = Sandbox("t", (Attachment(FRONT, Endpoint(addresses=("10.0.0.5", "fd00::a00:5"))),))
    assert hosts_file("web-1", there, (), ipv6=False) == "127.0.0.1\tlocalhost\n10.0.0.5\tweb-1\n"


@pytest.mark.parametrize("bad", ["", "nonsense", "db:999.1.1.1", "10.0.0.1", ":10.0.0.1", "10.0.0 db"])
def test_a_bad_host_is_refused_with_its_text(bad: str) -> None:
    with pytest.raises(InvalidArgument, match="host"):
        hosts_file("web-1", SANDBOX, (bad,))


def test_names_come_from_the_overlays_then_the_nodes_servers_or_the_users() -> None:
    resolver = resolver_of(SANDBOX, "/netns/task1", ContainerSpec(), NODE)
    assert resolver.networks == (ResolverNetwork("net", "front"),)
    assert (resolver.upstreams, resolver.search, resolver.ndots) == (
        (Upstream("9.9.9.9"),),
        ("example.org",),
        None,
    )
    dns = DnsConfig(nameservers=("1.1.1.1",), search=("corp",), options=("ndots:2", "timeout:1"))
    resolver = resolver_of(SANDBOX, "/netns/task1", ContainerSpec(dns=dns), NODE)
    assert resolver.upstreams == (Upstream("1.1.1.1", from_node=False),)
    assert (resolver.search, resolver.ndots) == (("corp",), 2)
    inside = replace(FRONT, spec=replace(FRONT.spec, internal=True))
    within = Sandbox("task1", (Attachment(inside, Endpoint(addresses=("10.0.0.5",))),))
    assert resolver_of(within, "/netns/task1", ContainerSpec(), NODE).upstreams == ()
    assert resolver_of(within, "/netns/task1", ContainerSpec(dns=dns), NODE).upstreams == resolver.upstreams
    conf = made(ContainerSpec(dns=dns)).resolv_conf
    assert conf == "nameserver 127.0.0.11\nsearch corp\noptions timeout:1 ndots:2\n"


@pytest.mark.parametrize(
    ("text", "number"),
    [("", 15), ("SIGTERM", 15), ("quit", 3), ("9", 9), ("SIGRTMIN+3", 37), ("RTMAX-1", 63), (" sigint ", 2)],
)
def test_signals_by_name_and_number(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize("text", ["SIGNOPE", "0", "65", "-1", "RTMIN+99", "SIG_IGN", "RTMIN-1"])
def test_an_unknown_signal_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="stop signal"):
        signal_number(text)


def test_what_is_pulled_is_pinned_to_its_digest() -> None:
    digest = "sha256:" + "a" * 64
    assert image_reference(ContainerSpec(image="web:1")) == "web:1"
    assert image_reference(ContainerSpec(image="web:1", image_digest=digest)) == f"web:1@{digest}"
    assert image_reference(ContainerSpec(image=f"web@{digest}", image_digest=digest)) == f"web@{digest}"
