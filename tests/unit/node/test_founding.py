from pathlib import Path
from random import Random

import pytest

from covey import limits
from covey.errors import Corrupt, InvalidArgument
from covey.identity import new_key, parse_token, root_digest
from covey.model import bootstrap
from covey.model.states import Availability, NodeRole
from manager.ca.admission import join_token
from node.founding import Founding, cluster_spec, found_cluster

NOW_NS = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def founding() -> Founding:
    return found_cluster(cluster_spec((), 0, 0), new_key(), "m1", Availability.ACTIVE, Random(7), NOW_NS)


def test_a_new_cluster_is_all_of_a_piece(founding: Founding) -> None:
    first, identity = founding.bootstrap, founding.identity.identity
    assert first.cluster.id == identity.cluster_id
    assert first.node.id == identity.node_id
    assert first.node.role is first.node.spec.role is identity.role is NodeRole.MANAGER
    assert first.node.description.hostname == "m1"
    assert first.cluster.root_ca.digest == root_digest(founding.identity.root_pem)
    assert first.ingress.spec.ingress
    assert len({first.cluster.id, first.node.id, first.ingress.id}) == 3


def test_its_tokens_are_tokens(founding: Founding) -> None:
    cluster = founding.bootstrap.cluster
    tokens = {str(join_token(cluster, role)) for role in NodeRole}
    assert len(tokens) == 2
    assert {parse_token(token).digest for token in tokens} == {cluster.root_ca.digest}


def test_what_coveyd_writes_the_manager_reads(founding: Founding, tmp_path: Path) -> None:
    path = bootstrap.path_in(tmp_path)
    assert bootstrap.load(path) is None
    path.parent.mkdir()
    path.write_bytes(bootstrap.encode(founding.bootstrap))
    assert bootstrap.load(path) == founding.bootstrap
    path.write_bytes(bootstrap.encode(founding.bootstrap)[:-5])
    with pytest.raises(Corrupt, match=str(path)):
        bootstrap.load(path)


def test_with_pools_of_the_users_own_the_mesh_lives_in_them_too() -> None:
    spec = cluster_spec(("172.30.0.0/16",), 0, 0)
    made = found_cluster(spec, new_key(), "m1", Availability.ACTIVE, Random(7), NOW_NS)
    assert made.bootstrap.ingress.spec.ipam == ()


def test_pools_are_of_both_families() -> None:
    spec = cluster_spec(("fd00:5::/48", "172.30.0.0/16"), 0, 0)
    assert (spec.address_pools, spec.address_pools_ipv6) == (("172.30.0.0/16",), ("fd00:5::/48",))
    assert cluster_spec(("fd00:5::/48",), 0, 0).address_pools == (limits.address_pool_default,)


@pytest.mark.parametrize(
    ("pools", "length", "port", "says"),
    [
        (("10.0.0.0/8", "10.1.0.0/16"), 0, 0, "overlaps"),
        (("fd00::/97",), 0, 0, "fd00::/97 is too small for a network; give an IPv6 pool of /96 or larger"),
        (("fd00::/40", "fd00:0:7::/48"), 0, 0, "fd00:0:7::/48 overlaps fd00::/40"),
        (("10.0.0.1/8",), 0, 0, "host bits"),
        (("ten",), 0, 0, "'ten'"),
        (("10.0.0.0/16",), 8, 0, "mask-length 8"),
        (("10.0.0.0/16",), 31, 0, "mask-length 31"),
        ((), 0, 80, "data-path-port 80"),
        ((), 0, 70_000, "data-path-port 70000"),
        ((), -1, 0, "mask-length -1"),
    ],
)
def test_what_cannot_be_had_is_refused(pools: tuple[str, ...], length: int, port: int, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        cluster_spec(pools, length, port)
