"""What does not change while an agent runs: who the node is, and what was found out about its kernel at the start."""

from dataclasses import dataclass
from pathlib import Path

from covey import limits

from .desired.facts import Host
from .io.observe import Surroundings


@dataclass(frozen=True, slots=True)
class Settings:
    """Where namespaces are bound, who the node is, where its VXLAN packets come from, and what `io.trial` found."""

    netns_dir: Path
    node_id: str
    data_address: str
    vxlan_port: int = limits.vxlan_port
    keeps_client_address: bool = False
    tunnel_address: str = ""

    def host(self, around: Surroundings) -> Host:
        """What matters of the host, with what can change."""
        return Host(
            node_id=self.node_id,
            vtep=self.data_address,
            mtu=around.mtu,
            vxlan_port=self.vxlan_port,
            ipv6=around.ipv6,
            bridge_filter=around.bridge_filter,
            keeps_client_address=self.keeps_client_address,
            advertised=around.advertised,
            interfaces=around.interfaces,
            tunnel=self.tunnel_address,
            filtered=around.filtered,
        )
