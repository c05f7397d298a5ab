"""Networks that are nothing but settings, and those that take them over."""

from random import Random

import pytest

from covey.errors import FailedPrecondition, InvalidArgument, NotFound
from covey.model.objects import Network, Object
from covey.model.specs import (
    ContainerSpec,
    IpamConfig,
    NetworkAttachmentSpec,
    NetworkSpec,
    ServiceSpec,
    TaskSpec,
)
from manager.control.networks import create_network, end_removal, remove_network
from manager.control.networks.settings import check_settings
from manager.control.networks.validate import check_network
from manager.control.services import create_service
from manager.store.draft import Draft
from manager.store.tables import Tables
from tests.support.planner_cluster import PlannerCluster

BASE = NetworkSpec(
    name="base", config_only=True, internal=True, ipam=(IpamConfig("10.7.0.0/24"),), options={"mtu": "1400"}
)


def stored(*objects: Object) -> Tables:
    tables, draft = Tables(), Draft(Tables())
    for item in objects:
        draft.put(item)
    tables.commit(draft.transaction())
    return tables


def created(tables: Tables, spec: NetworkSpec) -> Network:
    check_settings(spec)
    draft = Draft(tables)
    network = create_network(draft, spec, Random(spec.name))
    tables.commit(draft.transaction())
    return network


def test_settings_are_taken_over_and_no_network_themselves() -> None:
    tables = Tables()
    base = created(tables, BASE)
    assert base.spec == BASE
    net = created(tables, NetworkSpec(name="net", attachable=True, config_from="Base"))
    assert (net.spec.internal, net.spec.ipam, net.spec.options) == (True, BASE.ipam, BASE.options)
    assert (net.spec.config_from, net.spec.config_only, net.spec.attachable) == ("base", False, True)
    with pytest.raises(
        FailedPrecondition,
        match=r"subnet: 10\.7\.0\.0/24 overlaps .* of network net; settings with a subnet, as base",
    ):
        created(tables, NetworkSpec(name="other", config_from="base"))


def test_settings_stay_while_a_network_has_them() -> None:
    tables = Tables()
    base, net = created(tables, BASE), created(tables, NetworkSpec(name="net", config_from="base"))
    for network, says in (
        (base, "network base: it holds the settings of net; remove those first"),
        (net, ""),
    ):
        draft = Draft(tables)
        if says:
            with pytest.raises(FailedPrecondition, match=says):
                remove_network(draft, network.id)
            continue
        for each in (network.id, base.id):
            remove_network(draft, each)
            assert end_removal(draft, each) is None
        tables.commit(draft.transaction())
    assert not list(tables.all(Network))


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (
            NetworkSpec(name="n", config_only=True, attachable=True),
            "attachable: 'n' is of no set of settings",
        ),
        (
            NetworkSpec(name="n", config_only=True, driver="macvlan", options={"parent": "e"}),
            "driver: 'n' is of no set",
        ),
        (NetworkSpec(name="n", config_only=True, ingress=True), "ingress: 'n' is of no set of settings"),
        (
            NetworkSpec(name="n", config_only=True, config_from="base"),
            "config-from: 'base' cannot be taken over by",
        ),
        (NetworkSpec(name="n", config_from="base", ipv6=True), "config-from: 'base' has all settings"),
        (
            NetworkSpec(name="n", config_from="base", options={"mtu": "1400"}),
            "config-from: 'base' has all settings",
        ),
        (NetworkSpec(name="n", config_from="plain"), "config-from: 'plain' is a network of its own"),
        (NetworkSpec(name="n", config_from="base", ingress=True), "internal: 'n' contradicts ingress"),
    ],
)
def test_what_contradicts_itself_is_refused(spec: NetworkSpec, says: str) -> None:
    tables = stored(Network(id="b", spec=BASE), Network(id="p", spec=NetworkSpec(name="plain")))
    with pytest.raises(InvalidArgument, match=says):
        created(tables, spec)


def test_settings_that_are_not_there_are_named() -> None:
    with pytest.raises(NotFound, match="there is no network 'base'"):
        created(Tables(), NetworkSpec(name="n", config_from="base"))


def test_no_service_joins_settings_and_they_get_no_addresses() -> None:
    networks = (NetworkAttachmentSpec("base"),)
    spec = ServiceSpec(name="web", task=TaskSpec(container=ContainerSpec(image="web:1"), networks=networks))
    with pytest.raises(
        InvalidArgument, match="network: 'base' is nothing but settings; make a network that takes"
    ):
        create_service(Draft(stored(Network(id="b", spec=BASE))), spec, Random(1))
    cluster = PlannerCluster()
    cluster.network("base", "10.7.0.0/24", config_only=True)
    cluster.run(1)
    (network,) = cluster.tables.all(Network)
    assert (network.vni, network.subnets, network.allocation_error) == (0, (), "")


def test_what_is_taken_over_suits_the_driver() -> None:
    lan = NetworkSpec(name="lan", config_only=True, options={"parent": "eth1", "macvlan_mode": "private"})
    check_network(lan)
    tables = stored(Network(id="b", spec=lan))
    net = created(tables, NetworkSpec(name="net", driver="macvlan", config_from="lan"))
    assert net.spec.options == lan.options
    with pytest.raises(InvalidArgument, match="opt: 'parent' is not an option of overlay networks"):
        created(tables, NetworkSpec(name="other", config_from="lan"))
