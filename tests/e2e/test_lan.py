"""Tasks on the nodes' own LAN, by a macvlan network that takes over shared settings."""

import json

import pytest

from devcluster.place import OUTSIDE, address_of
from tests.support.stand import ANSWER, Stand

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

LAN = ("--subnet", "10.77.0.0/16", "--ip-range", "10.77.200.0/24", "--gateway", address_of(OUTSIDE))


def own_addresses(stand: Stand, network: str) -> set[str]:
    (detail,) = json.loads(stand.covey("network", "inspect", network))
    return {address for each in detail["endpoints"] for address in each["addresses"]}


def test_tasks_stand_on_the_lan_of_their_nodes(stand: Stand) -> None:
    stand.covey("network", "create", "--config-only", "-o", "parent=eth0", *LAN, "base")
    stand.covey("network", "create", "-d", "macvlan", "--config-from", "base", "lan")
    try:
        stand.covey(
            "service", "create", "--name", "web", "--network", "lan", "--replicas", "3", f"{stand.web}:1"
        )
        stand.covey("service", "create", "--name", "peer", "--network", "lan", stand.tools)
        found = own_addresses(stand, "lan")
        assert len(found) == 4
        assert all(each.startswith("10.77.200.") for each in found)
        said = [stand.exec(OUTSIDE, "curl", "-s", "--max-time", "3", f"http://{each}/") for each in found]
        answers = [match for each in said if (match := ANSWER.search(each)) is not None]
        assert {match[3] for match in answers} == set(stand.spread("web")), "each answers at its own address"
        assert {match[4] for match in answers} == {address_of(OUTSIDE)}
        ask = "for n in 1 2 3 4 5 6 7 8 9; do wget -qO- http://web/; done"
        once = ("--restart-condition", "none", "--network", "lan")
        stand.covey("service", "create", "-d", "--name", "client", *once, stand.tools, "sh", "-c", ask)
        logs = ("service", "logs", "--raw", "client")
        stand.until("the name", lambda: len(ANSWER.findall(stand.covey(*logs))) == 9)
        assert "Nothing amiss" in stand.covey("system", "audit")
        assert "it holds the settings of" in stand.refused("network", "rm", "base")
    finally:
        for service in ("web", "peer", "client"):
            stand.covey("service", "rm", service)
        stand.covey("network", "rm", "lan")
        stand.until("the network to go", lambda: "lan" not in stand.covey("network", "ls"))
        stand.covey("network", "rm", "base")


def test_a_node_without_the_interface_gets_no_task(stand: Stand) -> None:
    stand.covey("network", "create", "-d", "macvlan", "-o", "parent=lan7", "lan")
    stand.exec("w2", "ip", "link", "add", "lan7", "type", "veth", "peer", "name", "lan8")
    try:
        stand.exec("w2", "ip", "link", "set", "lan7", "up")
        stand.covey("service", "create", "-d", "--name", "web", "--network", "lan", f"{stand.web}:1")
        stand.until("the task", lambda: stand.spread("web") == {"w2": 1}, 90)
        lacking = "network lan goes by interface lan7, which"
        assert lacking in stand.covey("service", "why", "web")
    finally:
        stand.exec("w2", "ip", "link", "del", "lan7")
