from random import Random

import pytest
from msgspec.structs import replace

from covey.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, Unauthenticated
from covey.identity import Identity, make_token
from covey.ids import new_id
from covey.model.objects import Cluster, JoinSecrets, Node, RootCa
from covey.model.states import Availability, NodeRole
from manager.ca.admission import admit, join_token, renewal, role_of, rotate_token
from manager.store.draft import Draft
from manager.store.tables import Tables

CLUSTER = Cluster(
    id="c" * 25,
    root_ca=RootCa(digest="d" * 50),
    join_secrets=JoinSecrets(worker="w" * 25, manager="m" * 25),
)
WORKER_TOKEN = str(join_token(CLUSTER, NodeRole.WORKER))
NODE = "n" * 25


def a_draft() -> Draft:
    draft = Draft(Tables())
    draft.put(CLUSTER)
    return draft


def test_a_token_gives_its_role() -> None:
    for role in NodeRole:
        assert role_of(CLUSTER, str(join_token(CLUSTER, role))) is role


def test_a_foreign_token_is_refused_even_with_the_right_secret() -> None:
    with pytest.raises(Unauthenticated, match="another cluster"):
        role_of(CLUSTER, str(make_token("e" * 50, "w" * 25)))


def test_a_rotated_token_is_refused_and_the_other_role_keeps_its_own() -> None:
    rotated = rotate_token(CLUSTER, NodeRole.WORKER, Random(1))
    with pytest.raises(Unauthenticated, match="replaced") as caught:
        role_of(rotated, WORKER_TOKEN)
    assert "w" * 25 not in str(caught.value)
    assert role_of(rotated, str(join_token(rotated, NodeRole.WORKER))) is NodeRole.WORKER
    assert role_of(rotated, str(join_token(CLUSTER, NodeRole.MANAGER))) is NodeRole.MANAGER


def test_a_host_with_a_token_becomes_a_node() -> None:
    draft = a_draft()
    cluster, identity = admit(draft, WORKER_TOKEN, NODE, "w1", Availability.DRAIN)
    assert identity == Identity(NODE, cluster.id, NodeRole.WORKER)
    node = draft.get(Node, NODE)
    assert node is not None
    assert (node.description.hostname, node.spec.availability) == ("w1", Availability.DRAIN)
    assert node.role is node.spec.role is NodeRole.WORKER


def test_asking_again_changes_nothing() -> None:
    draft = a_draft()
    first = admit(draft, WORKER_TOKEN, NODE, "w1", Availability.ACTIVE)
    node = draft.get(Node, NODE)
    assert admit(draft, WORKER_TOKEN, NODE, "w1", Availability.DRAIN) == first
    assert draft.get(Node, NODE) == node


def test_a_worker_token_makes_no_worker_of_a_manager() -> None:
    draft = a_draft()
    draft.put(Node(id=NODE, role=NodeRole.MANAGER))
    with pytest.raises(AlreadyExists, match="manager"):
        admit(draft, WORKER_TOKEN, NODE, "w1", Availability.ACTIVE)


def test_a_manager_token_makes_a_manager_at_once() -> None:
    draft = a_draft()
    token = str(join_token(CLUSTER, NodeRole.MANAGER))
    first = admit(draft, token, NODE, "m2", Availability.DRAIN)
    assert first == (CLUSTER, Identity(NODE, CLUSTER.id, NodeRole.MANAGER))
    node = draft.get(Node, NODE)
    assert node is not None
    assert (node.role, node.spec.role) == (NodeRole.MANAGER, NodeRole.MANAGER)
    assert admit(draft, token, NODE, "m2", Availability.ACTIVE) == first
    with pytest.raises(AlreadyExists, match="as a manager"):
        admit(draft, WORKER_TOKEN, NODE, "m2", Availability.ACTIVE)


@pytest.mark.parametrize("hostname", ["", "a\nb", "x" * 300])
def test_a_node_name_is_bounded_and_printable(hostname: str) -> None:
    with pytest.raises(InvalidArgument, match="node name"):
        admit(a_draft(), WORKER_TOKEN, NODE, hostname, Availability.ACTIVE)


def test_without_a_cluster_nobody_joins() -> None:
    with pytest.raises(FailedPrecondition, match="no cluster yet"):
        admit(Draft(Tables()), WORKER_TOKEN, NODE, "w1", Availability.ACTIVE)


def test_a_renewed_certificate_states_the_present_role() -> None:
    draft = a_draft()
    admit(draft, WORKER_TOKEN, NODE, "w1", Availability.ACTIVE)
    assert renewal(draft, NODE)[1] == Identity(NODE, CLUSTER.id, NodeRole.WORKER)
    node = draft.get(Node, NODE)
    assert node is not None
    draft.put(replace(node, role=NodeRole.MANAGER))
    assert renewal(draft, NODE)[1].role is NodeRole.MANAGER
    with pytest.raises(NotFound, match="removed"):
        renewal(draft, new_id(Random(2)))
