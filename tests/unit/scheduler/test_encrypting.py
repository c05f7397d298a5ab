"""Tasks on encrypted networks go where packets can be encrypted, and nowhere else."""

from msgspec.structs import replace

from covey.model.objects import Network, Node, NodeDescription, NodeNetworking, Revision, Service
from covey.model.specs import NetworkAttachmentSpec, NetworkSpec, PortConfig, ServiceSpec, TaskSpec
from manager.scheduler.filters import Encrypting
from manager.scheduler.fleet import Host
from manager.scheduler.group import Group, group_of
from manager.store.draft import Draft
from manager.store.tables import Tables

ABLE = Host(
    Node(id="n1", description=NodeDescription(hostname="w1", networking=NodeNetworking(encryption="kernel")))
)
UNABLE = Host(Node(id="n2", description=NodeDescription(hostname="w2")))
SPEC = ServiceSpec(name="web", task=TaskSpec(networks=(NetworkAttachmentSpec(target="net"),)))


def group(network: NetworkSpec, ingress: NetworkSpec, ports: tuple[PortConfig, ...] = ()) -> Group:
    draft = Draft(Tables())
    draft.put(Network(id="net", spec=network))
    draft.put(Network(id="in", spec=replace(ingress, ingress=True)))
    draft.put(Revision(id="r", service_id="s", number=1, restart_generation=1, spec=SPEC))
    draft.put(Service(id="s", name="web", revision_id="r", ports=ports))
    found = group_of(draft, ("s", "r"))
    assert found is not None
    return found


PLAIN = NetworkSpec(name="plain")
SECRET = NetworkSpec(name="secret", options={"encrypted": ""})


def test_only_tasks_on_encrypted_networks_are_concerned() -> None:
    assert not Encrypting().set(group(PLAIN, SECRET))
    assert not Encrypting().set(group(NetworkSpec(name="n", options={"encrypted": "false"}), PLAIN))
    assert Encrypting().set(group(SECRET, PLAIN))


def test_a_published_port_is_on_the_ingress_network() -> None:
    ports = (PortConfig(target_port=80, published_port=80),)
    assert Encrypting().set(group(PLAIN, SECRET, ports))
    assert not Encrypting().set(group(PLAIN, PLAIN, ports))


def test_a_node_that_cannot_encrypt_takes_none_and_says_so() -> None:
    asked = Encrypting()
    asked.set(group(SECRET, PLAIN))
    assert asked.room(ABLE) > 0
    assert asked.room(UNABLE) == 0
    detail, remedy = asked.explain([UNABLE])
    assert detail == "network secret is encrypted, which w2 cannot do"
    assert "covey node inspect w2" in remedy
