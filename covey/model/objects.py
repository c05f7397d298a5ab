"""Objects: what managers keep, one table each.

Every object has an `id` and a `meta`; `meta.version` is the store index of its last change and the
version an update must name. Times are UTC nanoseconds since the epoch, for people to read: nothing is
ever decided by comparing two hosts' clocks.
"""

from msgspec import Struct

from covey.model.specs import (
    ClusterSpec,
    GenericResource,
    NetworkSpec,
    NodeSpec,
    Platform,
    PortConfig,
    Resources,
    ServiceSpec,
)
from covey.model.states import EndpointState, HealthState, NodeRole, NodeState, TaskState, UpdateState


class Part(Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """What all parts of objects share."""


class Meta(Part, frozen=True):
    """The store's own notes on an object."""

    version: int = 0
    created_at_ns: int = 0
    updated_at_ns: int = 0


class ClusterVersion(Part, frozen=True, order=True):
    """A point in the cluster's history. A restore or a forced new cluster raises `epoch`."""

    epoch: int = 0
    index: int = 0


class RootCa(Part, frozen=True):
    """The cluster's certificate authority. `key_pem` never leaves the managers."""

    certificate_pem: str = ""
    key_pem: str = ""
    digest: str = ""


class JoinSecrets(Part, frozen=True):
    """The secret halves of the join tokens."""

    worker: str = ""
    manager: str = ""


class TunnelTurn(Part, frozen=True):
    """Which generation of keys the tunnels of encrypted networks are to have, and since when."""

    generation: int = 0
    since_ns: int = 0


class Cluster(Part, frozen=True):
    """The one object that describes the cluster as a whole; its id is the cluster's id."""

    id: str = ""
    meta: Meta = Meta()
    spec: ClusterSpec = ClusterSpec()
    epoch: int = 1
    feature_level: int = 1
    root_ca: RootCa = RootCa()
    join_secrets: JoinSecrets = JoinSecrets()
    tunnels: TunnelTurn = TunnelTurn()


class TunnelKey(Part, frozen=True):
    """A public key (base64) of a node's tunnels, and the UDP port at which the node listens with it.

    `generation` is whose turn it was when the key was made: only keys of one generation speak with each other.
    """

    generation: int = 0
    public_key: str = ""
    port: int = 0


class NodeNetworking(Part, frozen=True):
    """What a node's kernel can do for networks, found out by trying.

    `encryption` is what encrypts (`kernel` or `wireguard-go`), empty if nothing can. `tunnel_keys` are its
    public keys, the newest last. `remarks` say why something cannot be done. `interfaces` are those of the
    host by which macvlan networks can go; none means that nobody has looked yet. `without_ipv6`: the host has
    IPv4 alone.
    """

    keeps_client_address: bool = False
    encryption: str = ""
    tunnel_keys: tuple[TunnelKey, ...] = ()
    remarks: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()
    without_ipv6: bool = False


class AuditCount(Part, frozen=True):
    """How many findings of one kind there are."""

    kind: str = ""
    number: int = 0


class AuditSummary(Part, frozen=True):
    """What a node (or who manages) found in the last audit. `compared` things were looked at, 0 if none ever were."""

    at_ns: int = 0
    compared: int = 0
    counts: tuple[AuditCount, ...] = ()
    unused_images: int = 0
    unused_image_bytes: int = 0


class NodeDescription(Part, frozen=True):
    """What an agent says of its node. `data_address` is where its VXLAN packets come from."""

    hostname: str = ""
    platform: Platform = Platform()
    resources: Resources = Resources()
    engine_version: str = ""
    engine_labels: dict[str, str] = {}
    data_address: str = ""
    networking: NodeNetworking = NodeNetworking()
    audit: AuditSummary = AuditSummary()


class NodeStatus(Part, frozen=True):
    """What the managers know of a node's life; `address` is where its session comes from."""

    state: NodeState = NodeState.UNKNOWN
    message: str = ""
    address: str = ""


class Node(Part, frozen=True):
    """A host. `role` is what its certificate says; `spec.role` what people want it to be."""

    id: str = ""
    meta: Meta = Meta()
    spec: NodeSpec = NodeSpec()
    description: NodeDescription = NodeDescription()
    status: NodeStatus = NodeStatus()
    role: NodeRole = NodeRole.WORKER


class VirtualIp(Part, frozen=True):
    """A service's address on one network; where endpoints have both families, it has one of each."""

    network_id: str = ""
    address: str = ""


class UpdateStatus(Part, frozen=True):
    """How the newest rollout of a service stands."""

    state: UpdateState = UpdateState.NONE
    started_at_ns: int = 0
    completed_at_ns: int = 0
    message: str = ""


class Service(Part, frozen=True):
    """A service. Its spec is that of its current revision.

    `ports` are the published ports as allocated (every `published_port` known). A service whose
    `pending_delete` is set only waits for its tasks to end. A `stopped` one keeps all it is but has no tasks
    until it is started again.
    """

    id: str = ""
    meta: Meta = Meta()
    name: str = ""
    revision_id: str = ""
    previous_revision_id: str = ""
    last_revision_number: int = 0
    virtual_ips: tuple[VirtualIp, ...] = ()
    ports: tuple[PortConfig, ...] = ()
    allocation_error: str = ""
    update_status: UpdateStatus = UpdateStatus()
    pending_delete: bool = False
    stopped: bool = False


class Revision(Part, frozen=True):
    """One version of a service's whole spec, never changed.

    `number` counts from 1. Two revisions with the same `restart_generation` differ only in what needs no
    new tasks (the number of replicas, labels, a constraint that tasks still satisfy). Every revision of a job
    is a restart generation of its own: an iteration.

    `author` is who asked for it: the caller as the managers know it, and in brackets the user as the client
    says. `restores` is the number of the revision that a rollback brought back, 0 if it is none.
    """

    id: str = ""
    meta: Meta = Meta()
    service_id: str = ""
    number: int = 0
    restart_generation: int = 0
    spec: ServiceSpec = ServiceSpec()
    author: str = ""
    restores: int = 0


class TaskStatus(Part, frozen=True):
    """How far a task has come. `err` says why, in words; `exit_code` is None while nobody knows it.

    A task whose container has a health check is STARTING until that passes. Once it is found UNHEALTHY it
    gets no more traffic, is stopped, and fails.
    """

    state: TaskState = TaskState.NEW
    message: str = ""
    err: str = ""
    at_ns: int = 0
    exit_code: int | None = None
    pid: int = 0
    health: HealthState = HealthState.NONE


class Task(Part, frozen=True):
    """One run of a service's container, on one node, at most once.

    `slot` counts from 1 for replicated services, from 0 for replicated jobs, and is 0 for global ones, whose
    place is their node. `desired_state` only rises, and is COMPLETE for a job's; a restart is a new task in
    the same place. `generic` are the generic resources it was given, named ones by their names. `quick_ends`
    counts how many tasks before it in its place failed soon after they had started, in a row.
    """

    id: str = ""
    meta: Meta = Meta()
    service_id: str = ""
    revision_id: str = ""
    slot: int = 0
    node_id: str = ""
    desired_state: TaskState = TaskState.RUNNING
    status: TaskStatus = TaskStatus()
    generic: tuple[GenericResource, ...] = ()
    quick_ends: int = 0


class Subnet(Part, frozen=True):
    """One subnet of a network, as allocated. Nobody gets the gateway's address, nor a reserved one."""

    cidr: str = ""
    gateway: str = ""
    ip_range: str = ""
    reserved: dict[str, str] = {}


class Network(Part, frozen=True):
    """A network. `vni` is its number on the wire, 0 until allocated."""

    id: str = ""
    meta: Meta = Meta()
    spec: NetworkSpec = NetworkSpec()
    vni: int = 0
    subnets: tuple[Subnet, ...] = ()
    allocation_error: str = ""
    pending_delete: bool = False


class Endpoint(Part, frozen=True):
    """A place on a network: a task's, or, with no `task_id`, a node's own on the ingress network.

    `number` is unique on its network and makes the MAC address 02:42:number; it is the IPv4 address as a
    big-endian number where the endpoint has one. `addresses` carry no prefix length.
    """

    id: str = ""
    meta: Meta = Meta()
    network_id: str = ""
    node_id: str = ""
    task_id: str = ""
    service_id: str = ""
    number: int = 0
    addresses: tuple[str, ...] = ()
    state: EndpointState = EndpointState.JOINING


Object = Cluster | Node | Service | Revision | Task | Network | Endpoint

KINDS: tuple[type[Object], ...] = (Cluster, Node, Service, Revision, Task, Network, Endpoint)
