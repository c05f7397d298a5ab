"""Stale flows: sent to us, answered by nobody who is still there."""

from dataclasses import replace as with_
from ipaddress import IPv4Network

import pytest
from msgspec.structs import replace

from agent.network import sweep as sweeping
from agent.network.desired import Facts
from agent.network.desired.facts import Host
from agent.network.desired.gateway import choose
from agent.network.seam import Attachment, Sandbox
from agent.network.sweep import Flow, Sweep
from covey.model.objects import Endpoint, Network, Subnet
from covey.model.specs import NetworkSpec
from covey.model.states import EndpointState
from covey.model.tables import EndpointRow, NetworkTable, ServiceRow

VIPS = Sweep("t1", frozenset({"10.1.0.100"}), (), frozenset({"10.1.0.2"}))
MESH = Sweep("", frozenset(), (IPv4Network("10.255.0.0/16"),), frozenset({"10.255.0.2"}))


@pytest.mark.parametrize(
    ("sweep", "flow", "stale"),
    [
        (VIPS, Flow("10.1.0.100", "10.1.0.2"), False),
        (VIPS, Flow("10.1.0.100", "10.1.0.9"), True),
        (
            VIPS,
            Flow("10.1.0.100", "10.1.0.9", closed=True),
            False,
        ),  # its port may be another connection's by now
        (VIPS, Flow("10.1.0.100", "10.1.0.100"), True),  # sent before there was a rule
        (VIPS, Flow("10.1.0.9", "10.1.0.9"), False),  # by its own address: not ours to judge
        (VIPS, Flow("192.0.2.9", "192.0.2.9"), False),
        (MESH, Flow("192.0.2.1", "10.255.0.2"), False),
        (MESH, Flow("192.0.2.1", "10.255.0.9"), True),
        (MESH, Flow("10.255.0.9", "10.255.0.9"), False),
        (MESH, Flow("192.0.2.1", "192.0.2.1"), False),
    ],
)
def test_a_flow_is_stale_if_nobody_answers(sweep: Sweep, flow: Flow, stale: bool) -> None:
    assert sweep.stale(flow) is stale


NETWORK = Network("net", spec=NetworkSpec(name="net"), vni=4096, subnets=(Subnet("10.1.0.0/29"),))
VIP, ITS = "10.1.0.6", "10.1.0.5"


def facts(known: Facts | None, id: str, state: EndpointState, node: str) -> Facts:
    """A node with a task, and a service with one endpoint, which follow from what was known before."""
    row = EndpointRow(id, 5, (ITS,), node, "192.0.2.9", state, f"t-{id}", service_id="web")
    table = NetworkTable("net", endpoints=(row,), services=(ServiceRow("web", virtual_ips=(VIP,)),))
    boxes = {"me": Sandbox("me", (Attachment(NETWORK, Endpoint("e-me", addresses=("10.1.0.2",))),))}
    if node == "n1":
        own = Endpoint(id, number=5, addresses=(ITS,))
        boxes[f"t-{id}"] = Sandbox(f"t-{id}", (Attachment(NETWORK, own),))
    first = known or Facts(Host("n1", "192.0.2.1", 1500), choose([]), {"net": NETWORK})
    return with_(first, tables={"net": table}, sandboxes=boxes)


@pytest.mark.parametrize("node", ["n1", "n2"])
def test_who_joins_with_the_address_of_who_has_just_left_inherits_no_connections(node: str) -> None:
    flow = Flow(VIP, ITS)

    def stale(now: Facts) -> bool:
        look = sweeping.of_place(now, "me", ["net"])
        assert look is not None
        return look.stale(flow)

    before = facts(None, "old", EndpointState.ACTIVE, node)
    then = before.known("net")
    assert not stale(before)
    joined = facts(before, "new", EndpointState.JOINING, node)
    assert sweeping.needed(then, joined.known("net"))
    assert stale(joined)
    assert not stale(facts(joined, "new", EndpointState.ACTIVE, node))
    assert not stale(facts(joined, "new", EndpointState.DRAINING, node))
    unknown = replace(joined.tables["net"], endpoints=())  # of who is here, whatever the table lacks
    assert stale(with_(joined, tables={"net": unknown})) is (node != "n1")
