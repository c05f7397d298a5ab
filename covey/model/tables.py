"""Network tables: what managers tell agents of a network, and what forwarding, VIPs and names come from.

A table is the whole truth of one network at one version. A node gets the tables of the networks on which
it has a task, and that of the ingress network always.
"""

from covey.model.objects import ClusterVersion, Part, TunnelKey
from covey.model.specs import PortConfig
from covey.model.states import Affinity, EndpointMode, EndpointState


class EndpointRow(Part, frozen=True):
    """One endpoint of the network. `vtep` is the underlay address of the node that holds it.

    `task_name` is `service.slot.taskid` (or `service.nodeid.taskid`), `hostname` the container's. A row
    with no `task_id` is a node's own endpoint. `keeps_client_address`: the node's tasks may be sent what comes
    from outside as it is, for replies find their way back.
    """

    endpoint_id: str = ""
    number: int = 0
    addresses: tuple[str, ...] = ()
    node_id: str = ""
    vtep: str = ""
    state: EndpointState = EndpointState.JOINING
    task_id: str = ""
    task_name: str = ""
    hostname: str = ""
    service_id: str = ""
    keeps_client_address: bool = False


class ServiceRow(Part, frozen=True):
    """One service on the network: its names, its virtual addresses, its ports.

    On the ingress network `ports` are those that the mesh answers, on others those that have a name, for DNS.
    """

    service_id: str = ""
    name: str = ""
    aliases: tuple[str, ...] = ()
    mode: EndpointMode = EndpointMode.VIP
    virtual_ips: tuple[str, ...] = ()
    ports: tuple[PortConfig, ...] = ()
    affinity: Affinity = Affinity.NONE


class PeerRow(Part, frozen=True):
    """One node on an encrypted network: where its tunnel ends, what it has inside, and by which keys.

    `tunnel_address` is what the endpoint rows of this network have for `vtep`. `keys` are public, the newest
    last; an older one holds until every peer has the newer. `generation` is that of the keys nodes are to have now.
    """

    node_id: str = ""
    data_address: str = ""
    tunnel_address: str = ""
    keys: tuple[TunnelKey, ...] = ()
    generation: int = 0


class NetworkTable(Part, frozen=True):
    """The whole table of one network. Rows are ordered by id."""

    network_id: str = ""
    version: ClusterVersion = ClusterVersion()
    endpoints: tuple[EndpointRow, ...] = ()
    services: tuple[ServiceRow, ...] = ()
    peers: tuple[PeerRow, ...] = ()


class NetworkTableDelta(Part, frozen=True):
    """What changed between two versions of a table. Rows replace those with the same id."""

    network_id: str = ""
    applies_to: ClusterVersion = ClusterVersion()
    version: ClusterVersion = ClusterVersion()
    endpoints: tuple[EndpointRow, ...] = ()
    endpoints_removed: tuple[str, ...] = ()
    services: tuple[ServiceRow, ...] = ()
    services_removed: tuple[str, ...] = ()
    peers: tuple[PeerRow, ...] = ()
    peers_removed: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Tell whether no row differs."""
        changed, removed = (
            (self.endpoints, self.services, self.peers),
            (self.endpoints_removed, self.services_removed),
        )
        return not any((*changed, *removed, self.peers_removed))
