"""Tasks on networks that have IPv6 alone go where hosts have it, and nowhere else."""

from covey.model.objects import Network, Node, NodeDescription, NodeNetworking, Revision, Service
from covey.model.specs import NetworkAttachmentSpec, NetworkSpec, ServiceSpec, TaskSpec
from manager.scheduler.filters import Addressed
from manager.scheduler.fleet import Host
from manager.scheduler.group import Group, group_of
from manager.store.draft import Draft
from manager.store.tables import Tables

WITH = Host(Node(id="n1", description=NodeDescription(hostname="w1")))
WITHOUT = Host(
    Node(id="n2", description=NodeDescription(hostname="w2", networking=NodeNetworking(without_ipv6=True)))
)
SPEC = ServiceSpec(name="web", task=TaskSpec(networks=(NetworkAttachmentSpec(target="net"),)))


def group(network: NetworkSpec) -> Group:
    draft = Draft(Tables())
    draft.put(Network(id="net", spec=network))
    draft.put(Revision(id="r", service_id="s", number=1, restart_generation=1, spec=SPEC))
    draft.put(Service(id="s", name="web", revision_id="r"))
    found = group_of(draft, ("s", "r"))
    assert found is not None
    return found


def test_only_tasks_on_networks_without_ipv4_are_concerned() -> None:
    assert not Addressed().set(group(NetworkSpec(name="old")))
    assert not Addressed().set(group(NetworkSpec(name="both", ipv6=True)))
    assert Addressed().set(group(NetworkSpec(name="six", ipv4=False, ipv6=True)))


def test_a_node_without_ipv6_takes_none_and_says_so() -> None:
    asked = Addressed()
    asked.set(group(NetworkSpec(name="six", ipv4=False, ipv6=True)))
    assert asked.room(WITH) > 0
    assert asked.room(WITHOUT) == 0
    detail, remedy = asked.explain([WITHOUT])
    assert detail == "network six has IPv6 alone, which w2 has not"
    assert "ipv6.disable=1" in remedy
