"""One test host with tunnels: networks and tunnels as the agent joins them, told what to do line by line on stdin."""

import asyncio
import logging
import sys
from pathlib import Path

import msgspec

from agent.network.driver import NetlinkNetworks
from agent.network.settings import Settings as NetworkSettings
from agent.tunnels.driver import NodeTunnels, Settings
from agent.tunnels.io.networks import TunnelledNetworks
from agent.tunnels.io.userspace import Userspace
from agent.tunnels.seam import Encrypted
from covey import limits
from covey.model.objects import TunnelKey
from covey.model.tables import PeerRow
from tests.support.network_host import Call, perform, serve

OVERLAP_S = 2.0  # tests do not wait as long as nodes do


class TunnelCall(msgspec.Struct):
    method: str
    told: tuple[TunnelKey, ...] | None = None
    peers: tuple[PeerRow, ...] = ()


async def perform_here(tunnels: NodeTunnels, call: TunnelCall) -> str:
    """What concerns tunnels alone."""
    match call.method:
        case "notes":
            return "\n".join((await tunnels.audit()).notes)
        case "keys":
            return msgspec.json.encode(await tunnels.keys()).decode()
        case "use":
            await tunnels.use(Encrypted("n", 77, peers=call.peers))
        case _:
            raise AssertionError(call.method)
    return ""


async def main() -> None:
    """Serve calls until stdin ends."""
    directory, node_id, address, cluster_id, why = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format=f"{node_id} %(message)s")
    run = Path(directory)
    limits.tunnel_overlap_s = OVERLAP_S
    make = None if why else Userspace()
    tunnels = NodeTunnels(
        Settings(cluster_id, node_id, address, run.parent / "state" / "tunnels.json", period_s=0.2), make, why
    )
    settings = NetworkSettings(
        run, node_id, address, keeps_client_address=True, tunnel_address=tunnels.address
    )
    networks = TunnelledNetworks(NetlinkNetworks(settings), tunnels)

    async def carry_out(line: bytes) -> str:
        if msgspec.json.decode(line)["method"] in ("keys", "use", "notes"):
            return await perform_here(tunnels, msgspec.json.decode(line, type=TunnelCall))
        return await perform(networks, msgspec.json.decode(line, type=Call))

    await serve(carry_out)
    await networks.close()


if __name__ == "__main__":
    asyncio.run(main())
