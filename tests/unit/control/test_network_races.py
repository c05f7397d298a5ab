"""A network is removed in the moment when somebody takes it up: whichever is stored first, nobody is left without."""

from random import Random

import pytest

from covey.errors import Conflict
from covey.model.objects import Cluster, Endpoint, Network, Node, NodeStatus, Service
from covey.model.specs import ContainerSpec, NetworkAttachmentSpec, NetworkSpec, ServiceSpec, TaskSpec
from covey.model.states import NodeState
from manager.control.networks import create_network, end_removal, remove_network
from manager.control.services.changes import create_service, remove_service
from manager.orchestrator.orchestrator import Orchestrator
from manager.store.draft import Draft
from manager.store.tables import Tables
from manager.store.transaction import Change

JOINING = ServiceSpec(
    name="web", task=TaskSpec(ContainerSpec(image="web:1"), networks=(NetworkAttachmentSpec("net"),))
)
SETTINGS = NetworkSpec(name="net", config_only=True)


def stored(spec: NetworkSpec = NetworkSpec(name="net")) -> Tables:  # noqa: B008  never changed
    tables, draft = Tables(), Draft(Tables())
    for each in (
        Cluster(id="c"),
        Node(id="n", status=NodeStatus(state=NodeState.READY)),
        Network(id="net", spec=spec, vni=0 if spec.config_only else 4096),
    ):
        draft.put(each)
    tables.commit(draft.transaction())
    return tables


def raced(tables: Tables, taking: Draft) -> None:
    """Ask for the removal before what `taking` does is stored, and have it stored after that."""
    removal = Draft(tables)
    remove_network(removal, "net")
    tables.commit(taking.transaction())
    tables.commit(removal.transaction())


def joined(tables: Tables) -> Draft:
    draft = Draft(tables)
    create_service(draft, JOINING, Random(1))
    return draft


def orchestrated(tables: Tables) -> None:
    """Have a new leader look at the networks; its other work is not stored."""
    draft, planned = Draft(tables), Orchestrator(tables, Random(1))
    for network in tables.all(Network):
        planned.observe(Change(Network, None, network))
    planned.plan(draft, 1, 1, 100)
    tables.commit(draft.transaction())


def test_who_joined_first_keeps_the_network_and_who_removes_it_hears_of_them() -> None:
    tables = stored()
    raced(tables, joined(tables))
    draft = Draft(tables)
    assert "network net is in use by web" in str(end_removal(draft, "net"))
    tables.commit(draft.transaction())
    network = tables.get(Network, "net")
    assert network is not None
    assert not network.pending_delete
    again = Draft(tables)
    assert "in use by web" in str(end_removal(again, "net")), "asked again, or the orchestrator came first"
    assert not again.transaction()


def test_a_manager_that_ends_between_the_two_steps_leaves_the_second_to_the_leader() -> None:
    tables = stored()
    raced(tables, joined(tables))
    orchestrated(tables)
    network = tables.get(Network, "net")
    assert network is not None
    assert not network.pending_delete
    (service,) = tables.all(Service)
    draft = Draft(tables)
    remove_service(draft, service.id)
    remove_network(draft, "net")
    tables.commit(draft.transaction())
    orchestrated(tables)
    assert tables.get(Network, "net") is None


def test_who_comes_after_the_mark_joins_nothing() -> None:
    tables = stored()
    late, removal = joined(tables), Draft(tables)
    remove_network(removal, "net")
    tables.commit(removal.transaction())
    with pytest.raises(Conflict, match="network net changed"):
        tables.commit(late.transaction())
    draft = Draft(tables)
    assert end_removal(draft, "net") is None
    tables.commit(draft.transaction())
    assert not list(tables.all(Network))


def test_settings_that_a_network_took_over_meanwhile_stay() -> None:
    tables = stored(SETTINGS)
    draft = Draft(tables)
    create_network(draft, NetworkSpec(name="other", config_from="net"), Random(1))
    raced(tables, draft)
    ending = Draft(tables)
    assert "it holds the settings of" in str(end_removal(ending, "net"))
    tables.commit(ending.transaction())
    assert [each.pending_delete for each in tables.all(Network)] == [False, False]


def test_a_name_that_another_network_has_by_now_is_not_given_back() -> None:
    tables = stored()
    raced(tables, joined(tables))
    draft = Draft(tables)
    draft.put(Network(id="new", spec=NetworkSpec(name="NET"), vni=4097))
    draft.put(Endpoint(id="e", network_id="net", task_id="t", number=2))
    tables.commit(draft.transaction())
    ending = Draft(tables)
    assert end_removal(ending, "net") is None
    assert not ending.transaction(), "kept while somebody is on it"
