"""What coveyd tells the processes it supervises, as one JSON file (`RUN/node.json`, root's alone)."""

from pathlib import Path

import msgspec

from covey import limits
from covey.errors import Corrupt
from covey.model.specs import GenericResource
from covey.model.states import NodeRole


class NodeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One node's settings. Every path derives from `state_dir` and `run_dir`."""

    state_dir: str
    run_dir: str
    node_id: str = ""
    cluster_id: str = ""
    role: NodeRole = NodeRole.WORKER
    node_name: str = ""
    advertise_address: str = ""
    listen_address: str = "0.0.0.0"  # noqa: S104  managers serve every interface, as Docker's do
    data_address: str = ""
    managers: tuple[str, ...] = ()
    vxlan_port: int = limits.vxlan_port
    cgroup_parent: str = "/covey"
    nano_cpus: int = 0
    memory_bytes: int = 0
    resolv_conf: str = "/etc/resolv.conf"
    insecure_registries: tuple[str, ...] = ()
    log_level: str = "info"
    generic_resources: tuple[GenericResource, ...] = ()
    engine_labels: dict[str, str] = {}

    @property
    def state(self) -> Path:
        """The directory of what must outlive a reboot."""
        return Path(self.state_dir)

    @property
    def run(self) -> Path:
        """The directory of what ends with a reboot."""
        return Path(self.run_dir)

    @property
    def identity_dir(self) -> Path:
        """Where the node's key and certificates are."""
        return self.state / "identity"

    @property
    def daemon_socket(self) -> Path:
        """The socket of coveyd itself."""
        return self.run / "covey.sock"

    @property
    def manager_socket(self) -> Path:
        """The manager's local API, for root on this host."""
        return self.run / "manager.sock"

    @property
    def agent_socket(self) -> Path:
        """The agent's local API, for root on this host."""
        return self.run / "agent.sock"

    @property
    def netns_dir(self) -> Path:
        """Where network namespaces are bound to names."""
        return self.run / "netns"

    @property
    def dns_socket(self) -> Path:
        """Where the agent feeds the DNS server."""
        return self.run / "dns.sock"


def load(path: Path) -> NodeConfig:
    """Read the file coveyd wrote; raises `Corrupt` naming the file if it is not one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=NodeConfig)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Corrupt(
            f"{path}: not a node configuration ({error}); restart coveyd to have it rewritten"
        ) from error
