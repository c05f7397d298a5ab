"""A table is made a message once, for however many nodes."""

from msgspec.structs import replace

from covey import limits
from covey.model.assignments import Assignments
from covey.model.objects import ClusterVersion
from covey.model.tables import EndpointRow, NetworkTable, NetworkTableDelta
from covey.wire.codec import from_message
from manager.dispatcher.encoding import Encoder

TABLE = NetworkTable("net", ClusterVersion(1, 2), (EndpointRow("e1"), EndpointRow("e2")))
DELTA = NetworkTableDelta("net", ClusterVersion(1, 2), ClusterVersion(1, 3), (EndpointRow("e3"),))


def test_the_same_table_is_the_same_message() -> None:
    encoder = Encoder()
    first = encoder.encode(TABLE, 1)
    assert from_message(first.table, NetworkTable) == TABLE
    assert encoder.encode(TABLE, 2) is first
    change = encoder.encode(DELTA, 3)
    assert from_message(change.table_delta, NetworkTableDelta) == DELTA
    assert encoder.encode(DELTA, 4) is change
    assert encoder.encode(TABLE, 5) is first, "a change takes no table's place"


def test_a_newer_table_is_another_message() -> None:
    encoder = Encoder()
    first = encoder.encode(TABLE, 1)
    newer = replace(TABLE, version=ClusterVersion(1, 3))
    assert from_message(encoder.encode(newer, 2).table, NetworkTable) == newer
    assert encoder.encode(TABLE, 3) is not first
    assert len(encoder.made) == 1, "one per network is remembered"


def test_what_nobody_asks_for_is_forgotten() -> None:
    encoder = Encoder()
    encoder.encode(TABLE, 1)
    encoder.encode(replace(TABLE, network_id="other"), 5_000)
    encoder.forget(limits.encoded_table_kept_ms + 2)
    assert [network_id for network_id, _ in encoder.made] == ["other"]


def test_assignments_are_each_nodes_own() -> None:
    encoder = Encoder()
    encoder.encode(Assignments(full=True), 1)
    assert encoder.made == {}
