"""A zone that followed any changes is the zone of the table they led to, whatever the way."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.dns.codec import wire_name
from agent.dns.zone import Zone, zone_of
from covey.model.changes import table_delta
from covey.model.objects import ClusterVersion, TunnelKey
from covey.model.specs import PortConfig
from covey.model.states import EndpointMode, EndpointState
from covey.model.tables import EndpointRow, NetworkTable, PeerRow, ServiceRow

# Few of each, so that names and addresses are fought over.
NAMES = st.sampled_from(["web", "db", "tasks.web", "h1", "a" * 64])
SERVICE_IDS = st.sampled_from(["s1", "s2", "s3"])
ADDRESSES = st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1"]), max_size=2, unique=True).map(tuple)

ENDPOINTS = st.lists(
    st.builds(
        lambda id, addresses, state, task, hostname, service: EndpointRow(
            endpoint_id=id,
            addresses=addresses,
            state=state,
            task_id=task,
            task_name=task and f"web.{task}",
            hostname=task and hostname,
            service_id=task and service,
        ),
        st.sampled_from(["e1", "e2", "e3", "e4"]),
        ADDRESSES,
        st.sampled_from(EndpointState),
        st.sampled_from(["", "t1", "t2"]),
        NAMES,
        SERVICE_IDS,
    ),
    max_size=4,
    unique_by=lambda row: row.endpoint_id,
).map(lambda rows: tuple(sorted(rows, key=lambda row: row.endpoint_id)))

SERVICES = st.lists(
    st.builds(
        ServiceRow,
        SERVICE_IDS,
        NAMES,
        st.lists(NAMES, max_size=2, unique=True).map(tuple),
        st.sampled_from(EndpointMode),
        ADDRESSES,
        st.just((PortConfig(name="http", target_port=80),)),
    ),
    max_size=3,
    unique_by=lambda row: row.service_id,
).map(lambda rows: tuple(sorted(rows, key=lambda row: row.service_id)))

PEERS = st.sampled_from([(), (PeerRow("n1"),), (PeerRow("n1", keys=(TunnelKey(1, "k"),)), PeerRow("n2"))])
TABLES = st.lists(st.tuples(ENDPOINTS, SERVICES, PEERS), min_size=1, max_size=5).map(
    lambda made: [
        NetworkTable("net", ClusterVersion(n), endpoints, services, peers)
        for n, (endpoints, services, peers) in enumerate(made, 1)
    ]
)


def content(zone: Zone) -> object:
    claimed = [(name, zone.targets("http", "tcp", wire_name(name))) for name in ("web", "db", "tasks.db")]
    return zone.names, zone.reverse, zone.table(), claimed


@settings(max_examples=300)
@given(TABLES, st.booleans())
def test_changes_lead_where_the_whole_table_does(tables: list[NetworkTable], whole: bool) -> None:
    zone = Zone()
    zone.set_table(tables[0])
    for old, new in pairwise(tables):
        if whole:
            zone.set_table(new)
        else:
            zone.change(table_delta(old, new))
        assert content(zone) == content(zone_of(new))
        assert zone.table() == new


@given(TABLES)
def test_names_lead_to_tasks_that_do_not_drain_and_to_nothing_else(tables: list[NetworkTable]) -> None:
    table = tables[0]
    here = {
        a
        for row in table.endpoints
        if row.task_id and row.state is not EndpointState.DRAINING
        for a in row.addresses
    }
    virtual = {a for row in table.services for a in row.virtual_ips}
    for records in zone_of(table).names.values():
        assert {str(address) for address in records.addresses} <= here | virtual
