"""Settings of the cluster: which may change, and to what."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from covey.errors import Conflict, InvalidArgument
from covey.model.objects import Cluster
from covey.model.specs import ClusterSpec
from manager.control.clusters import update_cluster
from manager.store.draft import Draft
from manager.store.tables import Tables

HOUR_NS = 3600 * 10**9


def tables() -> Tables:
    made = Tables()
    draft = Draft(made)
    draft.put(Cluster(id="c1"))
    made.commit(draft.transaction())
    return made


def test_settings_change_and_the_rest_of_the_cluster_stays() -> None:
    draft = Draft(tables())
    wanted = ClusterSpec(
        task_history_per_slot=-1, heartbeat_period_ms=5_000, node_certificate_ns=24 * HOUR_NS
    )
    changed = update_cluster(draft, 1, wanted)
    assert (changed.id, changed.spec) == ("c1", wanted)
    assert next(iter(draft.all(Cluster))).spec == wanted


def test_an_older_version_is_a_conflict() -> None:
    with pytest.raises(Conflict, match="repeat the command"):
        update_cluster(Draft(tables()), 0, ClusterSpec())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: replace(s, vxlan_port=4790), "data-path-port: is fixed when the cluster is made"),
        (lambda s: replace(s, address_pools=("10.1.0.0/16",)), "default-addr-pool: is fixed"),
        (lambda s: replace(s, subnet_prefix_length=25), "default-addr-pool-mask-length: is fixed"),
        (lambda s: replace(s, task_history_per_slot=-2), "task-history-limit: -2 is not a number of tasks"),
        (lambda s: replace(s, task_history_per_slot=1_001), "use 0 to 1000, or -1 to keep all"),
        (lambda s: replace(s, heartbeat_period_ms=50), "dispatcher-heartbeat: '50ms' is too short"),
        (lambda s: replace(s, heartbeat_period_ms=60_001), "use 0.1s to 60s"),
        (lambda s: replace(s, node_certificate_ns=HOUR_NS - 1), "use 1h to 175200h"),
    ],
)
def test_what_cannot_be_is_refused(change: Callable[[ClusterSpec], ClusterSpec], sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=sentence):
        update_cluster(Draft(tables()), 1, change(ClusterSpec()))
