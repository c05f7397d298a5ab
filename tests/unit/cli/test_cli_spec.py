from typing import Any, get_type_hints

import msgspec
import pytest
from msgspec.structs import replace

from covey.cli.parse import mounts, ports
from covey.cli.spec.change import changed, changed_node, created, scale_argument, scaled
from covey.cli.spec.fields import CAPABILITIES, LISTS, MAPS, SCALARS
from covey.errors import InvalidArgument, NotFound
from covey.model.specs import (
    ContainerSpec,
    DnsConfig,
    GenericResource,
    HealthCheck,
    NetworkAttachmentSpec,
    NodeSpec,
    PortConfig,
    ServiceMode,
    ServiceSpec,
    SpreadPreference,
    TaskSpec,
)
from covey.model.states import Availability, EndpointMode, Protocol, ServiceModeKind

PATHS = [*SCALARS.values(), *MAPS.values(), *(listed.path for listed in LISTS.values()), *CAPABILITIES]


@pytest.mark.parametrize("path", PATHS)
def test_every_option_means_a_field_there_is(path: str) -> None:
    kind: Any = ServiceSpec
    for name in path.split("."):
        kind = {DnsConfig | None: DnsConfig, HealthCheck | None: HealthCheck}.get(kind, kind)
        assert name in {field.name for field in msgspec.structs.fields(kind)}
        kind = get_type_hints(kind)[name]


def test_no_options_are_the_defaults() -> None:
    assert created({}) == ServiceSpec()


def test_a_new_service() -> None:
    spec = created(
        {
            "name": "web",
            "image": "nginx:1",
            "replicas": 3,
            "env": ("A=1", "B=2", "A=3"),
            "publish": ports.publish("8080-8081:80-81"),
            "mount": (mounts.mount("source=d,target=/d"),),
            "label": (("team", "x"),),
            "dns": ("10.0.0.1",),
            "cap_drop": ("ALL",),
            "cap_add": ("cap_net_admin",),
            "network": (NetworkAttachmentSpec("net1"),),
            "limit_memory": 64 << 20,
            "update_delay": 5,
        }
    )
    container = spec.task.container
    assert (spec.name, spec.mode.replicas, spec.labels, spec.update.delay_ns) == ("web", 3, {"team": "x"}, 5)
    assert container.env == ("B=2", "A=3") or container.env == ("A=3", "B=2")
    assert [port.published_port for port in spec.endpoint.ports] == [8080, 8081]
    assert container.dns == DnsConfig(nameservers=("10.0.0.1",))
    assert (container.capability_add, container.capability_drop) == (("NET_ADMIN",), ("ALL",))
    assert spec.task.resources.limits.memory_bytes == 64 << 20


BASE = created(
    {
        "name": "web",
        "image": "nginx:1",
        "env": ("A=1", "B=2"),
        "publish": (*ports.publish("8080:80"), *ports.publish("8080:80/udp")),
        "label": (("a", "1"), ("b", "2")),
        "constraint": ("node.role == worker",),
        "placement_pref": (SpreadPreference("node.labels.zone"),),
    }
)


def test_an_update_leaves_alone_what_it_does_not_name() -> None:
    assert changed(BASE, {}) == BASE
    assert changed(BASE, {"replicas": 5}) == msgspec.structs.replace(BASE, mode=ServiceMode(replicas=5))


def test_entries_are_added_replaced_and_removed() -> None:
    spec = changed(
        BASE,
        {
            "env_add": ("B=3", "C=4"),
            "env_rm": ("A",),
            "label_add": (("b", "3"),),
            "label_rm": ("a",),
            "publish_rm": (PortConfig(target_port=80, protocol=Protocol.TCP),),
            "publish_add": ports.publish("9090:80"),
            "constraint_rm": ("node.role==worker",),
            "placement_pref_rm": (SpreadPreference("node.labels.zone"),),
        },
    )
    assert spec.task.container.env == ("B=3", "C=4")
    assert spec.labels == {"b": "3"}
    assert {(p.published_port, p.protocol) for p in spec.endpoint.ports} == {
        (9090, Protocol.TCP),
        (8080, Protocol.UDP),
    }
    assert spec.task.placement == TaskSpec().placement


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"env_rm": ("Z",)}, "--env-rm Z: .* the service has A, B"),
        ({"label_rm": ("z",)}, "--label-rm z"),
        ({"mount_rm": ("/z",)}, "is not there; the service has none"),
        (
            {"publish_rm": (ports.target("9999/udp"),)},
            "^--publish-rm 9999/udp: .* the service has 80/tcp, 80/udp$",
        ),
    ],
)
def test_removing_what_is_not_there_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(NotFound, match=says):
        changed(BASE, given)


def test_a_new_image_forgets_the_old_ones_digest() -> None:
    pinned = ServiceSpec(task=TaskSpec(container=ContainerSpec(image="a:1", image_digest="sha256:1")))
    assert changed(pinned, {"image": "a:2"}).task.container.image_digest == ""
    assert changed(pinned, {"image": "a:1"}).task.container.image_digest == "sha256:1"


def test_a_capability_is_in_one_list() -> None:
    spec = changed(changed(BASE, {"cap_add": ("SYS_TIME",)}), {"cap_drop": ("CAP_SYS_TIME",)})
    assert (spec.task.container.capability_add, spec.task.container.capability_drop) == ((), ("SYS_TIME",))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"mode": ServiceModeKind.GLOBAL, "replicas": 2}, "--replicas 2: a global service"),
        ({"replicas": 10**9}, "at most"),
        ({"mode": ServiceModeKind.GLOBAL_JOB, "replicas": 2}, "--replicas 2: a global-job service"),
        ({"mode": ServiceModeKind.REPLICATED_JOB, "replicas": 0}, "--replicas 0: a job has something"),
        ({"max_concurrent": 2}, "--max-concurrent 2: the service is replicated"),
        (
            {"mode": ServiceModeKind.GLOBAL_JOB, "update_order": 1},
            "--update-order: an update of a global-job",
        ),
        (
            {"no_healthcheck": True, "health_retries": 2},
            "--no-healthcheck and --health-retries contradict each other",
        ),
        ({"reserve_cpu": 2_000_000_000, "limit_cpu": 1_000_000_000}, "--reserve-cpu 2 is over --limit-cpu 1"),
        ({"limit_memory": 1024}, "--limit-memory 1k: the least is 4m"),
        ({"limit_cpu": 1000}, "--limit-cpu 1e-06: the least"),
        ({"endpoint_mode": EndpointMode.DNSRR, "publish_add": ports.publish("80:80")}, "mode=host"),
        (
            {"publish_add": (*ports.publish("80:1"), *ports.publish("80:2"))},
            "--publish 80/tcp is given twice",
        ),
        ({"cap_add": ("KILL",), "cap_drop": ("cap_kill",)}, "choose one"),
    ],
)
def test_contradictions_are_refused_before_anything_is_sent(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        changed(ServiceSpec(), given)


def test_scaling() -> None:
    assert scaled(BASE, 7).mode.replicas == 7
    with pytest.raises(InvalidArgument):
        scaled(ServiceSpec(mode=ServiceMode(kind=ServiceModeKind.GLOBAL)), 7)
    assert scale_argument("web=3") == ("web", 3)
    for text in ("web", "web=", "=3", "web=-1", "web=x"):
        with pytest.raises(InvalidArgument):
            scale_argument(text)


def test_the_replicas_of_a_job_are_what_it_completes() -> None:
    job = created({"mode": ServiceModeKind.REPLICATED_JOB, "replicas": 10, "max_concurrent": 2})
    assert job.mode == ServiceMode(ServiceModeKind.REPLICATED_JOB, total_completions=10, max_concurrent=2)
    assert scaled(job, 12).mode.total_completions == 12


def test_health_checks_come_and_go() -> None:
    check = ("CMD-SHELL", "true")
    spec = created({"health_cmd": check, "health_interval": 5, "health_retries": 2})
    assert spec.task.container.health == HealthCheck(check, interval_ns=5, retries=2)
    off = changed(spec, {"no_healthcheck": True})
    assert off.task.container.health == HealthCheck(("NONE",))
    assert changed(off, {"no_healthcheck": False}).task.container.health is None
    assert changed(off, {"health_timeout": 7}).task.container.health == HealthCheck(timeout_ns=7)
    assert changed(off, {"replicas": 2}).task.container.health == HealthCheck(("NONE",))
    assert created({"health_interval": 0}).task.container.health is None


def test_generic_resources_are_reserved_by_kind() -> None:
    spec = created({"generic_resource": (GenericResource("gpu", count=2), GenericResource("ssd", count=1))})
    update = {"generic_resource_add": (GenericResource("gpu", count=3),), "generic_resource_rm": ("ssd",)}
    kept = changed(spec, update).task.resources.reservations.generic
    assert kept == (GenericResource("gpu", count=3),)


def test_how_long_things_may_take() -> None:
    spec = created({"drain_time": 0, "update_start_deadline": 3, "rollback_start_deadline": 0})
    assert (spec.endpoint.drain_ns, spec.update.start_deadline_ns, spec.rollback.start_deadline_ns) == (
        0,
        3,
        0,
    )


def test_a_node() -> None:
    spec = changed_node(
        NodeSpec(labels={"a": "1"}),
        {"availability": Availability.DRAIN, "label_add": (("b", "2"),), "label_rm": ("a",)},
    )
    assert spec == NodeSpec(labels={"b": "2"}, availability=Availability.DRAIN)
    assert changed_node(spec, {"drain_deadline": 7}) == replace(spec, drain_deadline_ns=7)


def test_a_label_that_a_node_lacks_is_told_as_the_nodes() -> None:
    with pytest.raises(NotFound, match="--label-rm z: is not there; the node has a"):
        changed_node(NodeSpec(labels={"a": ""}), {"label_rm": ("z",)})
