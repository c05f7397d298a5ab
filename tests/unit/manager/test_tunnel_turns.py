"""When tunnels get new keys."""

from msgspec.structs import replace

from covey.model.objects import Cluster, Network, TunnelTurn
from covey.model.specs import ClusterSpec, NetworkSpec
from manager.store.draft import Draft
from manager.store.tables import Tables
from manager.tunnels.turn import next_turn

HOUR_NS = 3_600_000_000_000
CLUSTER = Cluster(id="c", spec=ClusterSpec(), tunnels=TunnelTurn(7, 100 * HOUR_NS))


def view(options: dict[str, str] | None = None) -> Draft:
    draft = Draft(Tables())
    draft.put(Network(id="net", spec=NetworkSpec(name="n", options=options or {})))
    return draft


SECRET = view({"encrypted": ""})


def test_a_generation_lasts_as_long_as_the_cluster_says() -> None:
    assert next_turn(SECRET, CLUSTER, 112 * HOUR_NS - 1) is None
    turned = next_turn(SECRET, CLUSTER, 112 * HOUR_NS)
    assert turned == replace(CLUSTER, tunnels=TunnelTurn(8, 112 * HOUR_NS))
    hourly = replace(CLUSTER, spec=ClusterSpec(tunnel_rotation_ns=HOUR_NS))
    assert next_turn(SECRET, hourly, 101 * HOUR_NS) is not None


def test_it_is_counted_from_the_first_encrypted_network() -> None:
    fresh = replace(CLUSTER, tunnels=TunnelTurn())
    assert next_turn(view(), fresh, HOUR_NS) is None
    assert next_turn(SECRET, fresh, HOUR_NS) == replace(fresh, tunnels=TunnelTurn(0, HOUR_NS))


def test_without_encrypted_networks_nobody_has_a_key() -> None:
    assert next_turn(view(), CLUSTER, 1000 * HOUR_NS) is None


def test_a_clock_set_back_begins_the_turn_anew() -> None:
    assert next_turn(SECRET, CLUSTER, HOUR_NS) == replace(CLUSTER, tunnels=TunnelTurn(7, HOUR_NS))
