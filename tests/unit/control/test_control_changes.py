"""What requests change, and what they may not."""

from random import Random

import pytest
from msgspec.structs import replace

from covey.errors import Conflict, FailedPrecondition, InvalidArgument, NotFound
from covey.model.objects import Network, Node, Revision, Service, Subnet, Task
from covey.model.specs import (
    ContainerSpec,
    IpamConfig,
    NetworkAttachmentSpec,
    NetworkSpec,
    NodeSpec,
    RegistryAuth,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
)
from covey.model.states import NodeRole, ServiceModeKind, TaskState
from covey.wire.codec import from_message
from manager.control.lookup import find_network, find_node, find_service
from manager.control.networks import create_network, remove_network
from manager.control.nodes import remove_node, update_node
from manager.control.services import (
    create_service,
    current_revision,
    describe,
    remove_service,
    revisions,
    update_service,
    with_credentials,
)
from manager.store.draft import Draft
from manager.store.tables import Tables
from manager.store.view import BY_SERVICE
from tests.support.cluster_objects import change, two_nodes_one_service

AUTH = RegistryAuth(username="u", password="p")
SPEC = ServiceSpec(
    name="api",
    task=TaskSpec(
        container=ContainerSpec(image="demo/api", registry_auth=AUTH),
        networks=(NetworkAttachmentSpec(target="net"),),
    ),
)


@pytest.fixture
def tables() -> Tables:
    return two_nodes_one_service()


def created(tables: Tables, spec: ServiceSpec = SPEC) -> Service:
    draft = Draft(tables)
    service = create_service(draft, spec, Random(1))
    tables.commit(draft.transaction())
    present = tables.get(Service, service.id)
    assert present is not None
    return present


def updated(tables: Tables, service: Service, spec: ServiceSpec, version: int | None = None) -> Revision:
    draft = Draft(tables)
    update_service(draft, service.id, service.meta.version if version is None else version, spec, Random(2))
    if transaction := draft.transaction():
        tables.commit(transaction)
    present = tables.get(Service, service.id)
    assert present is not None
    return current_revision(tables, present)


def test_networks_are_stored_by_id_whatever_they_were_called(tables: Tables) -> None:
    change(tables, Network(id="netlong", spec=NetworkSpec(name="front")))
    spec = replace(SPEC, task=replace(SPEC.task, networks=(NetworkAttachmentSpec(target="FRONT"),)))
    revision = current_revision(tables, created(tables, spec))
    assert [n.target for n in revision.spec.task.networks] == ["netlong"]
    assert (revision.number, revision.restart_generation) == (1, 1)


def test_what_a_service_cannot_join_is_refused(tables: Tables) -> None:
    change(
        tables,
        Network(id="ing", spec=NetworkSpec(name="ingress", ingress=True)),
        Network(id="old", spec=NetworkSpec(name="old"), pending_delete=True),
    )
    for target, kind in (("ingress", InvalidArgument), ("old", FailedPrecondition), ("nosuch", NotFound)):
        spec = replace(SPEC, task=replace(SPEC.task, networks=(NetworkAttachmentSpec(target=target),)))
        with pytest.raises(kind):
            create_service(Draft(tables), spec, Random(1))


def test_credentials_are_never_shown_and_survive_an_update_that_did_not_see_them(tables: Tables) -> None:
    service = created(tables)
    detail = describe(tables, service)
    assert not detail.revision.spec.task.container.HasField("registry_auth")
    seen = replace(SPEC, task=replace(SPEC.task, container=ContainerSpec(image="demo/api:2")))
    assert updated(tables, service, seen).spec.task.container.registry_auth == AUTH


def test_the_history_is_listed_oldest_first_and_without_credentials(tables: Tables) -> None:
    service = created(tables)
    updated(tables, service, replace(SPEC, mode=ServiceMode(replicas=5)))
    listed = [from_message(message, Revision) for message in revisions(tables, service.id)]
    assert [(r.number, r.spec.mode.replicas) for r in listed] == [(1, 1), (2, 5)]
    assert [r.spec.task.container.registry_auth for r in listed] == [None, None]


def test_an_update_is_a_new_revision_and_no_change_is_none(tables: Tables) -> None:
    service = created(tables)
    assert updated(tables, service, SPEC).number == 1
    scaled = updated(tables, service, replace(SPEC, mode=ServiceMode(replicas=5)))
    assert (scaled.number, scaled.restart_generation) == (2, 1)
    assert len(tables.find(Revision, BY_SERVICE, service.id)) == 2


def test_an_update_from_an_old_reading_is_a_conflict(tables: Tables) -> None:
    service = created(tables)
    updated(tables, service, replace(SPEC, mode=ServiceMode(replicas=5)))
    with pytest.raises(Conflict, match="changed since it was read"):
        updated(tables, service, replace(SPEC, mode=ServiceMode(replicas=6)))


def test_name_and_mode_never_change(tables: Tables) -> None:
    service = created(tables)
    for spec in (replace(SPEC, name="b"), replace(SPEC, mode=ServiceMode(kind=ServiceModeKind.GLOBAL))):
        with pytest.raises(InvalidArgument, match="keeps its"):
            updated(tables, service, spec)


def test_a_service_being_removed_takes_no_more_changes(tables: Tables) -> None:
    service = created(tables)
    draft = Draft(tables)
    remove_service(draft, service.id)
    tables.commit(draft.transaction())
    with pytest.raises(FailedPrecondition, match="being removed"):
        remove_service(Draft(tables), service.id)
    with pytest.raises(NotFound):
        remove_service(Draft(tables), "none")


def test_a_network_in_use_stays(tables: Tables) -> None:
    change(tables, Network(id="ing", spec=NetworkSpec(name="ingress", ingress=True)))
    with pytest.raises(FailedPrecondition, match="in use by web"):
        remove_network(Draft(tables), "net")
    with pytest.raises(FailedPrecondition, match="there can be one only"):
        create_network(Draft(tables), NetworkSpec(name="b", ingress=True), Random(1))


def test_a_network_stays_that_a_rollout_may_go_back_to(tables: Tables) -> None:
    service = created(tables)
    old = Task(id="t", service_id=service.id, revision_id=service.revision_id, slot=1)
    change(tables, old)
    change(tables, replace(tables.get(Service, find_service(tables, "web").id), pending_delete=True))
    draft = Draft(tables)
    off = replace(SPEC, task=replace(SPEC.task, networks=()))
    update_service(draft, service.id, service.meta.version, off, Random(2))
    tables.commit(draft.transaction())
    with pytest.raises(FailedPrecondition, match="in use by api"):
        remove_network(Draft(tables), "net")
    change(tables, replace(tables.get(Task, "t"), desired_state=TaskState.SHUTDOWN))
    remove_network(Draft(tables), "net")


def test_nodes_are_removed_once_down_and_managers_never(tables: Tables) -> None:
    change(tables, Node(id="m", role=NodeRole.MANAGER))
    with pytest.raises(FailedPrecondition, match="not down"):
        remove_node(Draft(tables), "n1", force=False)
    remove_node(Draft(tables), "n1", force=True)
    with pytest.raises(FailedPrecondition, match="is a manager"):
        remove_node(Draft(tables), "m", force=True)


def test_a_node_takes_labels(tables: Tables) -> None:
    node = find_node(tables, "host1")
    draft = Draft(tables)
    assert update_node(draft, node.id, node.meta.version, NodeSpec(labels={"a": "b"})).spec.labels == {
        "a": "b"
    }
    with pytest.raises(Conflict):
        update_node(Draft(tables), node.id, node.meta.version + 1, NodeSpec())


def test_things_are_found_by_id_name_or_prefix(tables: Tables) -> None:
    change(
        tables, Network(id="abc1", spec=NetworkSpec(name="x")), Network(id="abc2", spec=NetworkSpec(name="y"))
    )
    assert find_network(tables, "X").id == find_network(tables, "abc1").id == "abc1"
    assert find_service(tables, "we").id == "web"
    with pytest.raises(InvalidArgument, match="ambiguous: abc1, abc2"):
        find_network(tables, "abc")
    for text in ("zzz", ""):
        with pytest.raises(NotFound, match="`covey network ls` lists them"):
            find_network(tables, text)


def test_credentials_are_for_one_registry() -> None:
    tables = two_nodes_one_service()
    service = created(tables)
    revision = current_revision(tables, service)
    container = replace(revision.spec.task.container, registry_auth=None)
    asked = replace(revision.spec, task=replace(revision.spec.task, container=container))
    assert with_credentials(tables, service.id, asked).task.container.registry_auth == AUTH
    elsewhere = replace(container, image="evil.example/demo/api")
    asked = replace(asked, task=replace(asked.task, container=elsewhere))
    assert with_credentials(tables, service.id, asked).task.container.registry_auth is None
    assert with_credentials(tables, "nosuch", asked) == asked


def test_a_network_removed_at_the_same_moment_is_joined_by_nobody() -> None:
    tables = two_nodes_one_service()
    change(tables, Network(id="other", spec=NetworkSpec(name="other"), vni=4097))
    draft = Draft(tables)
    networks = (NetworkAttachmentSpec(target="other"),)
    create_service(draft, replace(SPEC, task=replace(SPEC.task, networks=networks)), Random(1))
    removal = Draft(tables)
    remove_network(removal, "other")
    tables.commit(removal.transaction())
    with pytest.raises(Conflict, match="network other changed"):
        tables.commit(draft.transaction())


def test_a_subnet_that_another_network_has_is_refused() -> None:
    tables = two_nodes_one_service()
    spec = NetworkSpec(name="new", ipam=(IpamConfig(subnet="10.7.1.0/24"),))
    change(
        tables, Network(id="x", spec=NetworkSpec(name="x"), vni=4097, subnets=(Subnet(cidr="10.7.0.0/16"),))
    )
    with pytest.raises(FailedPrecondition, match=r"10\.7\.1\.0/24 overlaps 10\.7\.0\.0/16 of network x"):
        create_network(Draft(tables), spec, Random(1))
