"""In which order networks and their tunnels come and go."""

import asyncio

import pytest

from agent.network.fake import FakeNetworks
from agent.network.seam import Attachment, Sandbox
from agent.tunnels.fake import FakeTunnels
from agent.tunnels.io.networks import TunnelledNetworks
from agent.tunnels.io.wireguard import Unguarded
from agent.tunnels.seam import Encrypted
from covey.model.objects import ClusterVersion, Endpoint, Network, Subnet
from covey.model.specs import NetworkSpec
from covey.model.tables import NetworkTable, PeerRow

SUBNETS = (Subnet(cidr="10.1.0.0/24"),)
SECRET = Network(id="s", spec=NetworkSpec(name="s", options={"encrypted": "true"}), vni=7, subnets=SUBNETS)
PLAIN = Network(id="p", spec=NetworkSpec(name="p", options={"encrypted": "false"}), vni=8, subnets=SUBNETS)
TABLE = NetworkTable(network_id="s", version=ClusterVersion(1, 4), peers=(PeerRow("n1"),))


def box(network: Network) -> Sandbox:
    return Sandbox("t1", (Attachment(network, Endpoint(id="e", addresses=("10.1.0.2",))),))


def made() -> tuple[TunnelledNetworks, FakeNetworks, FakeTunnels]:
    below, tunnels = FakeNetworks(), FakeTunnels()
    return TunnelledNetworks(below, tunnels), below, tunnels


def test_tunnels_are_for_encrypted_networks_alone_and_know_the_newest_peers() -> None:
    async def main() -> None:
        networks, below, tunnels = made()
        await networks.learn(PLAIN)
        await networks.attach(box(SECRET))
        assert tunnels.networks == {"s": Encrypted("s", 7)}
        await networks.apply(TABLE)
        assert tunnels.networks == {"s": Encrypted("s", 7, TABLE.version, TABLE.peers)}
        assert below.tables == {"s": TABLE}
        await networks.forget("s")
        assert tunnels.networks == {}
        assert below.tables == {}

    asyncio.run(main())


def test_an_agent_that_begins_takes_over_what_it_had() -> None:
    async def main() -> None:
        networks, below, tunnels = made()
        await networks.reconcile([PLAIN], [TABLE], [box(SECRET)])
        assert tunnels.networks == {"s": Encrypted("s", 7, TABLE.version, TABLE.peers)}
        assert below.sandboxes.keys() == {"t1"}
        await networks.reconcile([], [], [])
        assert tunnels.networks == {}

    asyncio.run(main())


def test_where_nothing_can_be_encrypted_the_rest_goes_on() -> None:
    async def main() -> None:
        networks, below, tunnels = made()
        tunnels.why = "no WireGuard"
        await networks.learn(SECRET)  # `agent.network` builds no way out of it
        await networks.apply(TABLE)
        assert below.tables == {"s": TABLE}
        assert tunnels.networks == {}
        assert "no WireGuard" in networks.remarks()

    asyncio.run(main())


def test_closing_lets_go_of_both() -> None:
    async def main() -> None:
        networks, below, tunnels = made()
        await networks.close()
        assert below.closed
        assert tunnels.closed

    asyncio.run(main())


@pytest.mark.parametrize("wanted", [True, False])
def test_tunnels_come_before_networks_and_go_after(wanted: bool) -> None:
    """Else there would be a moment with a device and without a guard."""
    order: list[str] = []

    class Networks(FakeNetworks):
        async def reconcile(self, *arguments: object, **more: object) -> frozenset[str]:
            order.append("networks")
            return frozenset()

    class Tunnels(FakeTunnels):
        async def reconcile(self, networks: object) -> None:
            order.append("tunnels")

    async def main() -> None:
        await TunnelledNetworks(Networks(), Tunnels()).reconcile([SECRET] if wanted else [], [], [])

    asyncio.run(main())
    assert order == (["tunnels", "networks"] if wanted else ["networks", "tunnels"])


def test_an_agent_does_not_begin_where_plaintext_could_leave() -> None:
    class Open(FakeTunnels):
        async def reconcile(self, networks: object) -> None:
            raise Unguarded("no firewall")

    async def main() -> None:
        below = FakeNetworks()
        with pytest.raises(Unguarded):
            await TunnelledNetworks(below, Open()).reconcile([SECRET], [TABLE], [box(SECRET)])
        assert not below.sandboxes

    asyncio.run(main())
