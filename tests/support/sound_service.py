"""A service with something sound in most of its fields, and ways to spoil it."""

from typing import Any

from msgspec.structs import replace

from covey.model.specs import (
    ContainerSpec,
    DnsConfig,
    EndpointSpec,
    GenericResource,
    HealthCheck,
    Mount,
    NetworkAttachmentSpec,
    Placement,
    Platform,
    PortConfig,
    RegistryAuth,
    ResourceRequirements,
    Resources,
    ServiceMode,
    ServiceSpec,
    SpreadPreference,
    TaskSpec,
    TmpfsOptions,
    Ulimit,
)
from covey.model.states import EndpointMode, MountKind, Protocol, ServiceModeKind

SOUND = ServiceSpec(
    name="web",
    labels={"team": "a"},
    task=TaskSpec(
        container=ContainerSpec(
            image="registry.example:5000/demo/web:1",
            env=("A=b", "C=", "D", "SLOT={{.Task.Slot}}"),
            hostname="web-{{.Task.Slot}}",
            user="1000:www",
            groups=("disk",),
            stop_signal="SIGQUIT",
            capability_add=("NET_ADMIN", "cap_chown"),
            capability_drop=("ALL",),
            mounts=(
                Mount(kind=MountKind.BIND, source="/srv", target="/data"),
                Mount(kind=MountKind.VOLUME, source="vol-{{.Task.Slot}}", target="/vol", labels={"a": "b"}),
                Mount(kind=MountKind.VOLUME, target="/anonymous", no_copy=True),
                Mount(kind=MountKind.TMPFS, target="/tmp", tmpfs=TmpfsOptions(size_bytes=1 << 20)),
            ),
            hosts=("db:10.0.0.1",),
            dns=DnsConfig(nameservers=("192.0.2.1",), search=("example.org", "."), options=("ndots:2",)),
            sysctls={"net.ipv4.ip_local_port_range": "1024 65000", "net/core/somaxconn": "1"},
            ulimits=(Ulimit("nofile", 1024, -1), Ulimit("core", -1, -1)),
            oom_score_adj=-500,
            image_digest="sha256:" + "a" * 64,
            registry_auth=RegistryAuth("alice", "secret"),
            health=HealthCheck(test=("CMD-SHELL", "curl -f http://127.0.0.1/"), interval_ns=10**9, retries=2),
        ),
        resources=ResourceRequirements(
            limits=Resources(nano_cpus=10**9, memory_bytes=64 << 20, pids=100),
            reservations=Resources(
                nano_cpus=10**8,
                memory_bytes=32 << 20,
                generic=(GenericResource("gpu", count=2), GenericResource("ssd", count=1)),
            ),
        ),
        placement=Placement(
            constraints=("node.role == worker", "node.labels.disk != hdd"),
            preferences=(SpreadPreference(spread="node.labels.zone"),),
            max_replicas_per_node=2,
            platforms=(Platform("linux", "amd64"), Platform(architecture="arm64"), Platform("linux")),
        ),
        networks=(NetworkAttachmentSpec(target="net", aliases=("www",)),),
    ),
    endpoint=EndpointSpec(
        ports=(
            PortConfig(name="http", target_port=80, published_port=8080),
            PortConfig(target_port=53, published_port=8080, protocol=Protocol.UDP),
        )
    ),
)


def container(**changes: Any) -> ServiceSpec:
    """The service, with other fields of its container."""
    return task(container=replace(SOUND.task.container, **changes))


def task(**changes: Any) -> ServiceSpec:
    """The service, with other fields of its task."""
    return replace(SOUND, task=replace(SOUND.task, **changes))


def ports(*published: PortConfig, mode: EndpointMode = EndpointMode.VIP) -> ServiceSpec:
    """The service, published in another way."""
    return replace(SOUND, endpoint=EndpointSpec(mode=mode, ports=published))


def of_mode(kind: ServiceModeKind, **changes: Any) -> ServiceSpec:
    """The service, in another mode, and with no bound per node."""
    return replace(task(placement=Placement()), mode=ServiceMode(kind=kind, **changes))
