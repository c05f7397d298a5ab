"""Tasks on macvlan networks go where the interface is by which those go."""

from covey.model.objects import Network, Node, NodeDescription, NodeNetworking, Revision, Service
from covey.model.specs import NetworkAttachmentSpec, NetworkSpec, ServiceSpec, TaskSpec
from manager.scheduler.filters import Connected
from manager.scheduler.fleet import Host
from manager.scheduler.group import Group, group_of
from manager.store.draft import Draft
from manager.store.tables import Tables


def host(name: str, *interfaces: str) -> Host:
    networking = NodeNetworking(interfaces=interfaces)
    return Host(Node(id=name, description=NodeDescription(hostname=name, networking=networking)))


def group(*networks: NetworkSpec) -> Group:
    draft = Draft(Tables())
    for each in networks:
        draft.put(Network(id=each.name, spec=each))
    attachments = tuple(NetworkAttachmentSpec(target=each.name) for each in networks)
    spec = ServiceSpec(name="web", task=TaskSpec(networks=attachments))
    draft.put(Revision(id="r", service_id="s", number=1, restart_generation=1, spec=spec))
    draft.put(Service(id="s", name="web", revision_id="r"))
    found = group_of(draft, ("s", "r"))
    assert found is not None
    return found


LAN = NetworkSpec(name="lan", driver="macvlan", options={"parent": "eth1"})


def test_only_tasks_on_macvlan_networks_are_concerned() -> None:
    assert not Connected().set(group(NetworkSpec(name="plain")))
    assert Connected().set(group(NetworkSpec(name="plain"), LAN))


def test_a_node_without_the_interface_takes_none_and_says_so() -> None:
    asked = Connected()
    asked.set(group(LAN))
    assert asked.room(host("w1", "eth0", "eth1")) > 0
    assert asked.room(host("w2", "eth0")) == 0
    assert asked.room(host("w3")) > 0, "its agent knows better"
    detail, remedy = asked.explain([host("w2", "eth0")])
    assert detail == "network lan goes by interface eth1, which w2 has not"
    assert "make eth1 there" in remedy
