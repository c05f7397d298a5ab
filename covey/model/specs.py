"""Specs: what people ask for. Covey stores them as given and never rewrites them.

Durations are nanoseconds, sizes bytes, CPUs billionths of a CPU. The defaults are those of
Docker Swarm, so that the same request means the same thing.
"""

from msgspec import Struct

from covey import limits
from covey.model.states import (
    Affinity,
    Availability,
    EndpointMode,
    FailureAction,
    MeshMode,
    MountKind,
    NodeRole,
    Protocol,
    PublishMode,
    RestartCondition,
    ServiceModeKind,
    UpdateOrder,
)


class Spec(Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """What all specs share: immutable, comparable, small on disk."""


class TmpfsOptions(Spec, frozen=True):
    """Options of a tmpfs mount. `size_bytes` 0 means unlimited; `mode` is a permission mode."""

    size_bytes: int = 0
    mode: int = 0o1777


class Mount(Spec, frozen=True):
    """A directory or file from outside the image. An empty `source` of a volume means an anonymous one."""

    kind: MountKind = MountKind.BIND
    source: str = ""
    target: str = ""
    read_only: bool = False
    propagation: str = ""
    no_copy: bool = False
    labels: dict[str, str] = {}
    tmpfs: TmpfsOptions | None = None


class Ulimit(Spec, frozen=True):
    """One resource limit of the container's processes, named as in setrlimit without `RLIMIT_`."""

    name: str = ""
    soft: int = 0
    hard: int = 0


class DnsConfig(Spec, frozen=True):
    """The container's resolver settings; empty lists mean the node's own."""

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class RegistryAuth(Spec, frozen=True):
    """Credentials for pulling the image. Never logged, never shown by inspect."""

    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """Withhold the password: whatever prints a spec, an event or an error prints this."""
        return f"RegistryAuth(username={self.username!r}, password={'...' if self.password else ''!r})"


class HealthCheck(Spec, frozen=True):
    """How a container's health is found out, in Docker's terms; of an unset (zero) field the image's holds.

    `test` is `("NONE",)` for no check at all, `("CMD", program, argument, ...)`, or `("CMD-SHELL", command)`;
    empty means that of the image. After `retries` failures in a row the container is unhealthy. Failures in
    `start_period_ns` do not count until a check has passed; meanwhile checks come every `start_interval_ns`.
    """

    test: tuple[str, ...] = ()
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


class ContainerSpec(Spec, frozen=True):
    """What runs in each task's container.

    `image` is as the user wrote it; `image_digest` is the manifest digest (`sha256:...`) it stood for
    when the service was created or updated, empty if the registry did not answer then. `command`
    replaces the image's entrypoint and `args` its command, as in `docker service create`.
    """

    image: str = ""
    image_digest: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    user: str = ""
    groups: tuple[str, ...] = ()
    workdir: str = ""
    hostname: str = ""
    stop_signal: str = ""
    stop_grace_ns: int = limits.stop_grace_ns
    mounts: tuple[Mount, ...] = ()
    read_only: bool = False
    init: bool = False
    capability_add: tuple[str, ...] = ()
    capability_drop: tuple[str, ...] = ()
    seccomp_unconfined: bool = False
    no_new_privileges: bool = False
    sysctls: dict[str, str] = {}
    ulimits: tuple[Ulimit, ...] = ()
    oom_score_adj: int = 0
    hosts: tuple[str, ...] = ()
    dns: DnsConfig | None = None
    registry_auth: RegistryAuth | None = None
    health: HealthCheck | None = None


class GenericResource(Spec, frozen=True):
    """So many of a kind of thing that a node has (`value` empty), or one of that kind by its name (`count` 1).

    A node may have `ssd=3`, or `gpu=UUID-1` and `gpu=UUID-2`. A reservation is always a count.
    """

    kind: str = ""
    value: str = ""
    count: int = 0


class Resources(Spec, frozen=True):
    """Amounts of what a node has; 0 means none asked for, or no limit."""

    nano_cpus: int = 0
    memory_bytes: int = 0
    pids: int = 0
    generic: tuple[GenericResource, ...] = ()


class ResourceRequirements(Spec, frozen=True):
    """What a task may use at most, and what the scheduler keeps for it."""

    limits: Resources = Resources()
    reservations: Resources = Resources()


class RestartPolicy(Spec, frozen=True):
    """When a task that ended is replaced. `max_attempts` 0 means without end."""

    condition: RestartCondition = RestartCondition.ANY
    delay_ns: int = limits.restart_delay_ns
    max_attempts: int = 0
    window_ns: int = 0


class Platform(Spec, frozen=True):
    """An operating system and architecture, as OCI writes them (`linux`, `amd64`)."""

    os: str = ""
    architecture: str = ""


class SpreadPreference(Spec, frozen=True):
    """Spread tasks evenly over the values of a label: `node.labels.zone` or `engine.labels.zone`."""

    spread: str = ""


class Placement(Spec, frozen=True):
    """Where tasks may and should run. `max_replicas_per_node` 0 means no bound."""

    constraints: tuple[str, ...] = ()
    preferences: tuple[SpreadPreference, ...] = ()
    max_replicas_per_node: int = 0
    platforms: tuple[Platform, ...] = ()


class NetworkAttachmentSpec(Spec, frozen=True):
    """A network each task joins. `target` is a network id (the control API resolves names)."""

    target: str = ""
    aliases: tuple[str, ...] = ()


class TaskSpec(Spec, frozen=True):
    """What each task of a service is. Raising `force_update` replaces all tasks."""

    container: ContainerSpec = ContainerSpec()
    resources: ResourceRequirements = ResourceRequirements()
    restart: RestartPolicy = RestartPolicy()
    placement: Placement = Placement()
    networks: tuple[NetworkAttachmentSpec, ...] = ()
    force_update: int = 0


class ServiceMode(Spec, frozen=True):
    """How many tasks: `replicas` for a replicated service; the other two for a replicated job.

    Such a job is done once `total_completions` tasks have succeeded, of which at most `max_concurrent` run at
    a time; 0 means all.
    """

    kind: ServiceModeKind = ServiceModeKind.REPLICATED
    replicas: int = 1
    total_completions: int = 0
    max_concurrent: int = 0


class UpdateConfig(Spec, frozen=True):
    """How a change is rolled out. `parallelism` 0 means all tasks at once.

    A new task that does not run within `start_deadline_ns` counts as failed; 0 means that it is waited for
    without end.
    """

    parallelism: int = 1
    delay_ns: int = 0
    failure_action: FailureAction = FailureAction.PAUSE
    monitor_ns: int = limits.update_monitor_ns
    max_failure_ratio: float = 0.0
    order: UpdateOrder = UpdateOrder.STOP_FIRST
    start_deadline_ns: int = limits.update_start_deadline_ns


class PortConfig(Spec, frozen=True):
    """A published port. `published_port` 0 asks for one from the dynamic range.

    `published_address` is the one address of the host that answers it; empty means all of them. `mesh` says
    how it is answered in ingress mode. `health_port` is where each node tells balancers by HTTP whether it would
    answer a port of mesh LOCAL; 0 means nowhere.
    """

    name: str = ""
    protocol: Protocol = Protocol.TCP
    target_port: int = 0
    published_port: int = 0
    publish_mode: PublishMode = PublishMode.INGRESS
    published_address: str = ""
    mesh: MeshMode = MeshMode.PRESERVE
    health_port: int = 0

    def opened(self) -> "tuple[PortConfig, ...]":
        """Give what this opens on nodes: itself, and its health port, on every node and address."""
        if not self.health_port:
            return (self,)
        return (self, PortConfig(published_port=self.health_port))

    def meets(self, other: "PortConfig") -> bool:
        """Tell whether both have the same number on the same address of a host, or on all of them."""
        apart = self.published_address and other.published_address
        return (self.protocol, self.published_port) == (other.protocol, other.published_port) and not (
            apart and self.published_address != other.published_address
        )


class EndpointSpec(Spec, frozen=True):
    """How a service is reached.

    A task that is to stop gets no new connections, and those it has may go on for `drain_ns` at most before
    it is asked to stop; 0 means that it is asked at once.
    """

    mode: EndpointMode = EndpointMode.VIP
    ports: tuple[PortConfig, ...] = ()
    drain_ns: int = limits.drain_ns
    affinity: Affinity = Affinity.NONE


class ServiceSpec(Spec, frozen=True):
    """The whole of what a user asks of a service. `name` and the mode's kind never change."""

    name: str = ""
    labels: dict[str, str] = {}
    task: TaskSpec = TaskSpec()
    mode: ServiceMode = ServiceMode()
    update: UpdateConfig = UpdateConfig()
    rollback: UpdateConfig = UpdateConfig()
    endpoint: EndpointSpec = EndpointSpec()


class NodeSpec(Spec, frozen=True):
    """What people ask of a node.

    Draining it moves its tasks elsewhere, each once another one is ready to take over; what has not gone
    after `drain_deadline_ns` is stopped all the same. 0 means that everything is stopped at once.
    """

    labels: dict[str, str] = {}
    role: NodeRole = NodeRole.WORKER
    availability: Availability = Availability.ACTIVE
    drain_deadline_ns: int = limits.drain_deadline_ns


class IpamConfig(Spec, frozen=True):
    """One subnet of a network; empty fields are chosen by Covey.

    `reserved` are addresses that nobody gets, by what they are kept for (`router` to `10.1.0.9`).
    """

    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    reserved: dict[str, str] = {}


class NetworkSpec(Spec, frozen=True):
    """What people ask of a network. `options` are driver options, e.g. `mtu` for overlays.

    `attachable` changes nothing: it is kept for those who ask for it elsewhere, where single containers join networks.

    `ipv4` and `ipv6` say which families of addresses its endpoints have. A `config_only` network is nothing
    but settings, which another takes over by naming it as `config_from`.
    """

    name: str = ""
    labels: dict[str, str] = {}
    driver: str = "overlay"
    attachable: bool = False
    internal: bool = False
    ingress: bool = False
    ipam: tuple[IpamConfig, ...] = ()
    options: dict[str, str] = {}
    ipv4: bool = True
    ipv6: bool = False
    config_only: bool = False
    config_from: str = ""


class ClusterSpec(Spec, frozen=True):
    """Settings of the whole cluster. Address pools and the VXLAN port are fixed at `covey init`.

    Without `address_pools_ipv6` there is one of unique local addresses, made of the cluster's id.
    """

    address_pools: tuple[str, ...] = (limits.address_pool_default,)
    subnet_prefix_length: int = limits.subnet_prefix_length
    vxlan_port: int = limits.vxlan_port
    task_history_per_slot: int = limits.task_history_per_slot
    heartbeat_period_ms: int = limits.heartbeat_period_ms
    node_certificate_ns: int = limits.node_certificate_days * 86_400 * 1_000_000_000
    tunnel_rotation_ns: int = limits.tunnel_rotation_s * 1_000_000_000
    address_pools_ipv6: tuple[str, ...] = ()
