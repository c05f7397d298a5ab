"""Contradicting and impossible services, each with the sentence that refuses it; and no field is left unchecked."""

import math
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from covey import limits
from covey.errors import InvalidArgument
from covey.model.specs import (
    ContainerSpec,
    DnsConfig,
    EndpointSpec,
    GenericResource,
    HealthCheck,
    Mount,
    NodeSpec,
    Placement,
    Platform,
    PortConfig,
    RegistryAuth,
    ResourceRequirements,
    Resources,
    ServiceMode,
    ServiceSpec,
    SpreadPreference,
    TmpfsOptions,
    UpdateConfig,
)
from covey.model.states import (
    Affinity,
    EndpointMode,
    FailureAction,
    MeshMode,
    MountKind,
    Protocol,
    PublishMode,
    ServiceModeKind,
    UpdateOrder,
)
from manager.control import validate
from tests.support.sound_service import SOUND, container, of_mode, ports, task

M = ServiceModeKind
START_FIRST = UpdateConfig(order=UpdateOrder.START_FIRST)
HOST_PORT = PortConfig(target_port=80, published_port=8080, publish_mode=PublishMode.HOST)


def health(*test: str, **fields: int) -> ServiceSpec:
    return container(health=HealthCheck(test=test, **fields))


def reserved(*generic: GenericResource) -> ServiceSpec:
    return task(resources=ResourceRequirements(reservations=Resources(generic=generic)))


def asking(*constraints: str) -> ServiceSpec:
    return task(placement=Placement(constraints=constraints))


def job(**changes: Any) -> ServiceSpec:
    return replace(of_mode(M.REPLICATED_JOB, total_completions=3, max_concurrent=2), **changes)


UNSOUND = {
    # modes and jobs
    "replicas: 5 cannot go with mode global; every node has one task; leave it out": of_mode(M.GLOBAL, replicas=5),
    "replicas: 5 cannot go with mode replicated-job; say how many are to complete": of_mode(
        M.REPLICATED_JOB, replicas=5
    ),
    "replicas: 2 cannot go with mode global-job": of_mode(M.GLOBAL_JOB, replicas=2),
    "max-concurrent: 4 is more than the 3 that are to complete; use 3 or less": of_mode(
        M.REPLICATED_JOB, total_completions=3, max_concurrent=4
    ),
    "total-completions: -1 is not between 0 and": of_mode(M.REPLICATED_JOB, total_completions=-1),
    "max-concurrent: -2 is not between 0 and": of_mode(M.REPLICATED_JOB, max_concurrent=-2),
    "max-concurrent: 2 goes with mode replicated-job only, not replicated": of_mode(M.REPLICATED, max_concurrent=2),
    "total-completions: 2 goes with mode replicated-job only, not global-job": of_mode(
        M.GLOBAL_JOB, total_completions=2
    ),
    "update-order: 'start-first' has no meaning for a replicated-job: an update stops its tasks and begins": job(
        update=START_FIRST
    ),
    "update-parallelism: 2 has no meaning for a global-job": replace(
        of_mode(M.GLOBAL_JOB), update=UpdateConfig(parallelism=2)
    ),
    "update-delay: 1 has no meaning": job(update=UpdateConfig(delay_ns=1)),
    "update-failure-action: 'rollback' has no meaning": job(update=UpdateConfig(failure_action=FailureAction.ROLLBACK)),
    "rollback-max-failure-ratio: 0.5 has no meaning": job(rollback=UpdateConfig(max_failure_ratio=0.5)),
    "replicas-max-per-node: 1 has no meaning where every node has one task": replace(
        task(placement=Placement(max_replicas_per_node=1)), mode=ServiceMode(kind=M.GLOBAL)
    ),
    # rollouts
    "update-delay: -1 is negative; use 0 or more: 0 goes on without a pause": replace(
        SOUND, update=UpdateConfig(delay_ns=-1)
    ),
    "rollback-monitor: -1 is negative": replace(SOUND, rollback=UpdateConfig(monitor_ns=-1)),
    "update-start-deadline: -1 is negative; use 0 or more: 0 waits for a new task without end": replace(
        SOUND, update=UpdateConfig(start_deadline_ns=-1)
    ),
    "update-max-failure-ratio: 1.1 is not between 0 and 1; 0.1 bears": replace(
        SOUND, update=UpdateConfig(max_failure_ratio=1.1)
    ),
    "update-max-failure-ratio: nan is not": replace(SOUND, update=UpdateConfig(max_failure_ratio=math.nan)),
    "rollback-failure-action: 'rollback' cannot be: a rollback is not rolled back; use pause or continue": replace(
        SOUND, rollback=UpdateConfig(failure_action=FailureAction.ROLLBACK)
    ),
    "update-order: 'start-first' cannot go with the host-mode port 8080 of a global service": replace(
        of_mode(M.GLOBAL), endpoint=EndpointSpec(ports=(HOST_PORT,)), update=START_FIRST
    ),
    "rollback-order: 'start-first' cannot go with the host-mode port 80 of a global": replace(
        of_mode(M.GLOBAL),
        endpoint=EndpointSpec(ports=(replace(HOST_PORT, published_port=0),)),
        rollback=START_FIRST,
    ),
    "drain-time: -1 is negative; use 0 or more: 0 asks a task to stop at once": replace(
        SOUND, endpoint=EndpointSpec(drain_ns=-1)
    ),
    # health
    "health-interval: '999us999ns' is less than 1ms, the least; 0 takes the image's": health(
        interval_ns=999_999
    ),
    "health-timeout: '1ns' is less than 1ms": health(timeout_ns=1),
    "health-start-period: '-1 ns' is less": health(start_period_ns=-1),
    "health-start-interval: '5ns' is less": health(start_interval_ns=5),
    "health-retries: -1 is negative; use 0 or more: 0 takes the image's, or 3": health(retries=-1),
    "health-cmd: 'curl' is no kind of check; begin it with NONE, CMD or CMD-SHELL": health("curl", "-f"),
    "health-cmd: ['CMD'] is no check; write NONE alone, CMD and a program": health("CMD"),
    "health-cmd: ['CMD-SHELL', 'a', 'b'] is no check": health("CMD-SHELL", "a", "b"),
    "health-cmd: ['NONE', 'x'] is no check": health("NONE", "x"),
    "health-cmd: ' ' is an empty command; write one, or use --no-healthcheck": health("CMD-SHELL", " "),
    "health-cmd: 'a\\x00b' has a zero byte in it": health("CMD", "a\0b"),
    "no-healthcheck: 'NONE' contradicts the other fields of the check": health("NONE", retries=3),
    # resources
    "generic-resource: 'gpu=0' is not a number from 1 to": reserved(GenericResource("gpu")),
    "generic-resource: 'gpu=-3' is not a number": reserved(GenericResource("gpu", count=-3)),
    "generic-resource: 'g pu' is not a kind of resource; use up to 63 letters": reserved(
        GenericResource("g pu", count=1)
    ),
    "generic-resource: '' is not a kind": reserved(GenericResource(count=1)),
    "generic-resource: 'gpu=UUID-1' cannot be asked for by its name; ask for a number of its kind": reserved(
        GenericResource("gpu", "UUID-1", 1)
    ),
    "generic-resource: 'gpu' is asked for twice; ask once": reserved(*[GenericResource("gpu", count=n) for n in (1, 2)]),
    "limit-generic-resource: 'gpu=1' cannot be a limit; reserve it": task(
        resources=ResourceRequirements(limits=Resources(generic=(GenericResource("gpu", count=1),)))
    ),
    "reserve-pids: 5 cannot be kept for a task; use a limit": task(
        resources=ResourceRequirements(reservations=Resources(pids=5))
    ),
    "limit-pids: -1 is negative; use 0 or more: 0 is no limit": task(
        resources=ResourceRequirements(limits=Resources(pids=-1))
    ),
    "reserve-cpu: -1.0 is less than 0.001 of a CPU": task(
        resources=ResourceRequirements(reservations=Resources(nano_cpus=-(10**9)))
    ),
    "limit-memory: 4194303 bytes are less than the least, 4 MiB": task(
        resources=ResourceRequirements(limits=Resources(memory_bytes=(4 << 20) - 1))
    ),
    "reserve-memory: 8388608 is more than the limit of 4194304 bytes; reserve less": task(
        resources=ResourceRequirements(Resources(memory_bytes=4 << 20), Resources(memory_bytes=8 << 20))
    ),
    # the container
    "hostname: 'web-{{.Task.Slt}}' names .Task.Slt, which does not exist; there are .Service.ID": container(
        hostname="web-{{.Task.Slt}}"
    ),
    "env A: '{{.Task.Slot' does not end what": container(env=("A={{.Task.Slot",)),
    "mount source: '{{env \"HOME\"}}' calls 'env', and there are no functions but index": container(
        mounts=(Mount(kind=MountKind.VOLUME, source='{{env "HOME"}}', target="/d"),)
    ),
    "mount target: '{{.Service.Name}}' becomes 'web', which is not an absolute path": container(
        mounts=(Mount(kind=MountKind.VOLUME, target="{{.Service.Name}}"),)
    ),
    "user: 'a b' is not a user; write NAME or UID, perhaps with :GROUP": container(user="a b"),
    "group: 'a:b' is not a group": container(groups=("a:b",)),
    "registry-auth: '' has neither user nor password; log in again": container(registry_auth=RegistryAuth()),
    "mount: '/d' has volume-nocopy but is no volume": container(
        mounts=(Mount(source="/srv", target="/d", no_copy=True),)
    ),
    "mount: '/d' is mounted on twice": container(
        mounts=(Mount(source="/a", target="/d"), Mount(source="/b", target="/d/"))
    ),
    "mount: '/d/e' is mounted on twice; choose another target": container(
        mounts=(Mount(source="/a", target="/d//e"), Mount(source="/b", target="/d/./e/"))
    ),
    "mount target: '/.' is not an absolute path inside the container; write it like /data": container(
        mounts=(Mount(source="/a", target="/."),)
    ),
    "mount target: '/d/../..' leads upward; have no .. in it": container(
        mounts=(Mount(source="/a", target="/d/../.."),)
    ),
    f"hostname: '{{{{.Service.Name}}}}-{{{{.Task.Slot}}}}' becomes '{'w' * 60}-1000', which is not a host name": replace(
        container(hostname="{{.Service.Name}}-{{.Task.Slot}}"), name="w" * 60, mode=ServiceMode(replicas=1000)
    ),
    # placement and the rest
    "publish: '80/tcp' is published twice; choose another port for one of them": ports(
        PortConfig(target_port=80, published_port=80),
        PortConfig(target_port=81, published_port=80, publish_mode=PublishMode.HOST),
    ),
    "constraint: 'node.role == worker' contradicts 'node.role == manager': no node is both; leave one out": asking(
        "node.role==manager", "node.role==worker"
    ),
    "constraint: 'node.labels.a != B' contradicts 'node.labels.a == b'": asking("node.labels.a!=B", "node.labels.a==b"),
    "constraint: 'node.platform.arch == arm64' contradicts 'node.platform.arch == x86_64'": asking(
        "node.platform.arch==x86_64", "node.platform.arch==arm64"
    ),
    "constraint: 'node.ip == 10.2.0.0/16' contradicts 'node.ip == 10.1.0.0/16'": asking(
        "node.ip==10.1.0.0/16", "node.ip==10.2.0.0/16"
    ),
    "constraint: 'node.ip != 10.0.0.0/8' contradicts 'node.ip == 10.1.0.0/16'": asking(
        "node.ip!=10.0.0.0/8", "node.ip==10.1.0.0/16"
    ),
    "constraint: 'node.role != manager, node.role != worker' leaves no node": asking(
        "node.role!=worker", "node.role!=manager"
    ),
    "placement-pref: 'node.labels.rack' is given twice": task(
        placement=Placement(preferences=(SpreadPreference("node.labels.rack"),) * 2)
    ),
    "placement-pref: 'node.labels.a==b' is not node.labels.NAME or engine.labels.NAME; write": task(
        placement=Placement(preferences=(SpreadPreference("node.labels.a==b"),))
    ),
    "replicas-max-per-node: -1 is negative": task(placement=Placement(max_replicas_per_node=-1)),
    "platform: '/' is not an operating system and an architecture; write linux/amd64": task(
        placement=Placement(platforms=(Platform(),))
    ),
    "platform: 'linux/x 86' is not": task(placement=Placement(platforms=(Platform("linux", "x 86"),))),
    "publish name: 'a b' is not a name": ports(PortConfig(name="a b", target_port=80)),
    "publish mesh: 'local' has no meaning with mode=host, where no mesh answers; leave one": ports(
        replace(HOST_PORT, mesh=MeshMode.LOCAL)
    ),
    "publish health-port: 70000 is not a port": ports(
        PortConfig(target_port=80, mesh=MeshMode.LOCAL, health_port=70000)
    ),
    "publish health-port: 8090 is for mesh=local only, since every node answers otherwise": ports(
        PortConfig(target_port=80, health_port=8090)
    ),
    "publish: '8090/tcp' is published twice": ports(
        PortConfig(target_port=80, mesh=MeshMode.LOCAL, health_port=8090),
        PortConfig(target_port=81, published_port=8090),
    ),
    "publish: 2377 is the port of the managers": ports(
        PortConfig(target_port=80, mesh=MeshMode.LOCAL, health_port=2377)
    ),
    "published-address: 'one' is not an address; write one that hosts have, like 192.0.2.1": ports(
        replace(HOST_PORT, published_address="one")
    ),
    "published-address: 'fd00:0::1' is not as addresses are written; write fd00::1": ports(
        replace(HOST_PORT, published_address="fd00:0::1")
    ),
    "published-address: 'fe80::1' is no host's own": ports(replace(HOST_PORT, published_address="fe80::1")),
    "published-address: '::' means every address; leave it out": ports(
        replace(HOST_PORT, published_address="::")
    ),
    "published-address: '0.0.0.0' means every address; leave it out": ports(
        replace(HOST_PORT, published_address="0.0.0.0")
    ),
    "published-address: '224.0.0.1' is no host's own": ports(replace(HOST_PORT, published_address="224.0.0.1")),
    "publish: '8080/tcp' is published twice; choose another port for one of them, or an address": ports(
        HOST_PORT, replace(HOST_PORT, target_port=81, published_address="192.0.2.1")
    ),
    "affinity: 'client' cannot go with dnsrr, where clients choose the task; use endpoint-mode vip": replace(
        SOUND, endpoint=EndpointSpec(mode=EndpointMode.DNSRR, affinity=Affinity.CLIENT)
    ),
    "force: -1 is negative": task(force_update=-1),
}  # fmt: skip


@pytest.mark.parametrize("sentence", UNSOUND)
def test_what_cannot_be_is_refused_with_field_value_and_remedy(sentence: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        validate.check_service(UNSOUND[sentence])
    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    "sound",
    [
        SOUND,
        job(),
        of_mode(M.REPLICATED_JOB),
        of_mode(M.REPLICATED_JOB, max_concurrent=7),
        of_mode(M.REPLICATED_JOB, replicas=0, total_completions=3),
        of_mode(M.GLOBAL_JOB),
        of_mode(M.GLOBAL, replicas=0),
        replace(SOUND, update=START_FIRST, endpoint=EndpointSpec(ports=(HOST_PORT,))),
        replace(SOUND, update=UpdateConfig(parallelism=0, max_failure_ratio=1.0, start_deadline_ns=0)),
        health(),
        health("NONE"),
        health("CMD", "check", ""),
        health(interval_ns=limits.health_check_ns_min, start_period_ns=10**9),
        container(registry_auth=RegistryAuth("alice", "")),
        container(registry_auth=RegistryAuth("", "token")),
        container(hostname="{{.Node.Labels.name}}"),
        ports(*[replace(HOST_PORT, published_address=each) for each in ("127.0.0.1", "192.0.2.1")]),
        replace(SOUND, endpoint=EndpointSpec(affinity=Affinity.CLIENT)),
        asking("node.labels.a==b", "node.labels.a == B", "node.labels.a!=c", "node.labels.b==c"),
        asking("node.platform.arch==x86_64", "node.platform.arch==amd64"),
        asking("node.ip==10.1.0.0/16", "node.ip==10.1.2.0/24", "node.ip!=10.1.2.3", "node.ip!=fd00::/8"),
        task(
            placement=Placement(
                preferences=(SpreadPreference("Node.Labels.a"), SpreadPreference("engine.labels.a"))
            )
        ),
    ],
)
def test_what_can_be_passes(sound: ServiceSpec) -> None:
    validate.check_service(sound)


def test_a_huge_service_is_refused_before_anything_else_is_looked_at() -> None:
    mounts = tuple(Mount(source=f"/{'x' * 50}{n}", target=f"/{n}") for n in range(100_000))
    with pytest.raises(InvalidArgument, match="a service may have; move data into the image or a volume"):
        validate.check_service(container(mounts=mounts, env=("=",)))


def test_a_node_cannot_be_drained_for_less_than_no_time() -> None:
    with pytest.raises(InvalidArgument, match="drain-deadline: -1 is negative; use 0 or more"):
        validate.check_node(NodeSpec(drain_deadline_ns=-1))
    validate.check_node(NodeSpec(drain_deadline_ns=0))


def test_constraints_of_many_blanks_are_read_at_once() -> None:
    spaced = "node.id == a" + " " * 200_000 + "="
    with pytest.raises(InvalidArgument):
        validate.check_service(task(placement=Placement(constraints=(spaced,))))


# --- every field -----------------------------------------------------------------------------------

BAD: dict[str, object] = {
    "name": "a b",
    "labels": {"": "x"},
    "mode.replicas": -1,
    "mode.total_completions": 1,
    "mode.max_concurrent": 1,
    "update.order": None,  # in contradiction to others only: see UNSOUND
    "rollback.order": None,
    "update.failure_action": None,
    "rollback.failure_action": FailureAction.ROLLBACK,
    **{
        f"{prefix}.{field}": -1
        for prefix in ("update", "rollback")
        for field in ("parallelism", "delay_ns", "monitor_ns", "start_deadline_ns", "max_failure_ratio")
    },
    "endpoint.drain_ns": -1,
    "endpoint.affinity": None,  # in contradiction to dnsrr only: see UNSOUND
    "endpoint.ports[].published_address": "192.0.2.256",
    "endpoint.ports[].mesh": None,  # in contradiction to host mode only
    "endpoint.ports[].health_port": -1,
    "endpoint.ports[].name": "a b",
    "endpoint.ports[].protocol": Protocol.SCTP,
    "endpoint.ports[].target_port": 0,
    "endpoint.ports[].published_port": 65536,
    "endpoint.ports[].publish_mode": None,
    "endpoint.mode": None,
    "mode.kind": None,
    "task.force_update": -1,
    "task.networks[].target": None,  # whether it is there, the store knows
    "task.networks[].aliases": ("a b",),
    "task.placement.constraints": ("x > 3",),
    "task.placement.preferences[].spread": "zone",
    "task.placement.max_replicas_per_node": -1,
    "task.placement.platforms[].os": "a b",
    "task.placement.platforms[].architecture": "a b",
    "task.restart.delay_ns": -1,
    "task.restart.max_attempts": -1,
    "task.restart.window_ns": -1,
    "task.restart.condition": None,  # each is possible; a job's `any` is `on-failure`
    **{
        f"task.resources.{which}.{field}": -1
        for which in ("limits", "reservations")
        for field in ("nano_cpus", "memory_bytes", "pids")
    },
    **{
        f"task.resources.{which}.generic[].{field}": value
        for which in ("limits", "reservations")
        for field, value in (("kind", "a b"), ("value", "x"), ("count", -1))
    },
    **{
        f"task.container.{field}": value
        for field, value in {
            "image": "demo/Web",
            "image_digest": "latest",
            "command": ("\0",),
            "args": ("\0",),
            "env": ("=",),
            "labels": {"": ""},
            "user": "a b",
            "groups": ("a b",),
            "workdir": "srv",
            "hostname": "-",
            "stop_signal": "SIGNOPE",
            "stop_grace_ns": -1,
            "mounts[].kind": None,
            "mounts[].source": "",
            "mounts[].target": "d",
            "mounts[].read_only": None,
            "mounts[].propagation": "far",
            "mounts[].no_copy": True,
            "mounts[].labels": {"": ""},
            "mounts[].tmpfs.size_bytes": -1,
            "mounts[].tmpfs.mode": -1,
            "read_only": None,
            "init": None,
            "capability_add": ("FLY",),
            "capability_drop": ("FLY",),
            "seccomp_unconfined": None,
            "no_new_privileges": None,
            "sysctls": {"x": "1"},
            "ulimits[].name": "files",
            "ulimits[].soft": -2,
            "ulimits[].hard": -2,
            "oom_score_adj": 1001,
            "hosts": ("db",),
            "dns.nameservers": ("one",),
            "dns.search": ("a b",),
            "dns.options": ("a b",),
            "registry_auth.username": None,  # the registry judges it
            "registry_auth.password": None,
            "health.test": ("x",),
            "health.interval_ns": -1,
            "health.timeout_ns": -1,
            "health.start_period_ns": -1,
            "health.start_interval_ns": -1,
            "health.retries": -1,
        }.items()
    },
}
"""For each field a value that no service may have by itself; None where the type holds none."""

ELEMENTS: dict[str, msgspec.Struct] = {
    "endpoint.ports[]": PortConfig(target_port=80),
    "task.container.mounts[]": Mount(source="/srv", target="/d"),
    "task.container.ulimits[]": SOUND.task.container.ulimits[0],
    "task.networks[]": SOUND.task.networks[0],
    "task.placement.platforms[]": Platform("linux", "amd64"),
    "task.placement.preferences[]": SOUND.task.placement.preferences[0],
    "task.resources.limits.generic[]": GenericResource("gpu", count=1),
    "task.resources.reservations.generic[]": GenericResource("gpu", count=1),
    "task.container.dns": DnsConfig(),
    "task.container.health": HealthCheck(),
    "task.container.mounts[].tmpfs": TmpfsOptions(),
}


def leaves(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """Name every field of a struct and of those within; `[]` is for the elements of a tuple."""
    for name, annotation in typing.get_type_hints(kind).items():
        arguments = [a for a in typing.get_args(annotation) if a not in (type(None), Ellipsis)]
        inner = annotation if isinstance(annotation, type) else (arguments or [annotation])[0]
        mark = "[]" if typing.get_origin(annotation) is tuple else ""
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield from leaves(inner, f"{prefix}{name}{mark}.")
        else:
            yield f"{prefix}{name}"


def put(value: Any, path: str, new: object, at: str = "") -> Any:
    """Spoil one field, deep within; the other fields of the one it belongs to are sound."""
    name, dot, rest = path.partition(".")
    bare = name.removesuffix("[]")
    where = f"{at}{name}"
    if not dot:
        return replace(value, **{bare: new})
    inner = ELEMENTS.get(where) or getattr(value, bare)
    changed = put(inner, rest, new, where + ".")
    return replace(value, **{bare: (changed,) if name.endswith("[]") else changed})


def test_every_field_is_either_checked_or_can_hold_nothing_bad() -> None:
    assert sorted(leaves(ServiceSpec)) == sorted(BAD)


@pytest.mark.parametrize("path", [path for path, value in BAD.items() if value is not None])
def test_a_bad_value_in_any_field_is_refused(path: str) -> None:
    bare = ServiceSpec(name="web", task=replace(SOUND.task, container=ContainerSpec(image="web:1")))
    validate.check_service(bare)
    with pytest.raises(InvalidArgument):
        validate.check_service(put(bare, path, BAD[path]))
