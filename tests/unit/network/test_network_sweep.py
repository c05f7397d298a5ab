"""Stale flows: sent to us, answered by nobody who is still there."""

from ipaddress import IPv4Network

import pytest

from agent.network.sweep import Flow, Sweep

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
