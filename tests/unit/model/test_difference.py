"""Two specs told apart, in the words of the command's flags."""

from msgspec.structs import replace

from covey.cli.spec.change import changed
from covey.cli.spec.fields import CAPABILITIES, LISTS, MAPS, SCALARS
from covey.model import difference
from covey.model.difference import FieldChange, changes, flat
from covey.model.specs import (
    ContainerSpec,
    DnsConfig,
    GenericResource,
    HealthCheck,
    Mount,
    NetworkAttachmentSpec,
    Placement,
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
from covey.model.states import MountKind, Protocol, PublishMode, ServiceModeKind

WEB = ServiceSpec(name="web", task=TaskSpec(container=ContainerSpec(image="demo/web:1")))


def of_container(**fields: object) -> ServiceSpec:
    container = replace(WEB.task.container, **fields)
    return replace(WEB, task=replace(WEB.task, container=container))


def said(before: ServiceSpec, after: ServiceSpec, **names: str) -> list[tuple[str, str, str]]:
    return [(c.path, c.before, c.after) for c in changes(before, after, names)]


def test_nothing_differs_from_itself() -> None:
    assert changes(WEB, WEB) == []


def test_a_new_image_is_one_change_and_a_moved_tag_is_told_by_its_digest() -> None:
    one, two = (
        of_container(image_digest="sha256:1"),
        of_container(image="demo/web:2", image_digest="sha256:2"),
    )
    assert said(one, two) == [("image", "demo/web:1", "demo/web:2")]
    moved = of_container(image_digest="sha256:3")
    assert said(one, moved) == [("image-digest", "sha256:1", "sha256:3")]


def test_variables_and_labels_are_told_one_by_one() -> None:
    before, after = of_container(env=("A=1", "B=2", "C=")), of_container(env=("A=1", "B=3", "D=4"))
    assert said(before, after) == [("env B", "2", "3"), ("env D", "", "4"), ("env C", '""', "")]
    assert said(WEB, replace(WEB, labels={"team": "a", "flag": ""})) == [
        ("label team", "", "a"),
        ("label flag", "", '""'),
    ]


def test_amounts_are_told_as_they_are_written() -> None:
    resources = ResourceRequirements(
        limits=Resources(nano_cpus=500_000_000, memory_bytes=64 << 20),
        reservations=Resources(generic=(GenericResource("gpu", count=2),)),
    )
    after = replace(WEB, task=replace(WEB.task, resources=resources))
    assert said(WEB, after) == [
        ("limit-cpu", "", "0.5"),
        ("limit-memory", "", "64m"),
        ("generic-resource gpu", "", "2"),
    ]
    assert said(WEB, of_container(stop_grace_ns=90_000_000_000)) == [("stop-grace-period", "10s", "1m30s")]


def test_credentials_are_named_and_never_shown() -> None:
    one, two = (
        of_container(registry_auth=RegistryAuth("u", password)) for password in ("secret1", "secret2")
    )
    for before, after in ((WEB, one), (one, two), (two, WEB)):
        (change,) = changes(before, after)
        assert change.path == "with-registry-auth"
        assert "secret" not in str(change)
    assert said(WEB, one) == [("with-registry-auth", "", "(hidden)")]
    assert said(one, two) == [("with-registry-auth", "(hidden)", "(hidden), others")]


def test_entries_are_told_by_what_they_are_about() -> None:
    after = of_container(
        mounts=(
            Mount(MountKind.VOLUME, "data", "/data", read_only=True),
            Mount(MountKind.TMPFS, target="/tmp", tmpfs=TmpfsOptions(1 << 20)),
        ),
        ulimits=(Ulimit("nofile", 1024, 4096),),
        command=("sh", "-c", "echo a b"),
        dns=DnsConfig(nameservers=("192.0.2.1", "192.0.2.2")),
        health=HealthCheck(("CMD-SHELL", "curl -f localhost"), interval_ns=5_000_000_000),
    )
    assert said(WEB, after) == [
        ("entrypoint", "", "sh -c 'echo a b'"),
        ("mount /data", "", "volume data read-only"),
        ("mount /tmp", "", "tmpfs size 1m mode 1777"),
        ("ulimit nofile", "", "1024:4096"),
        ("dns", "", "192.0.2.1, 192.0.2.2"),
        ("health-cmd", "", "curl -f localhost"),
        ("health-interval", "", "5s"),
    ]
    off = of_container(health=HealthCheck(("NONE",)))
    assert said(WEB, off) == [("health-cmd", "", "(no check)")]


def test_ports_networks_and_places() -> None:
    ports = (
        PortConfig(target_port=80, published_port=8080),
        PortConfig(target_port=80, published_port=8081),
        PortConfig(protocol=Protocol.UDP, target_port=53, publish_mode=PublishMode.HOST),
    )
    after = replace(
        WEB,
        endpoint=replace(WEB.endpoint, ports=ports, drain_ns=0),
        task=replace(
            WEB.task,
            networks=(NetworkAttachmentSpec("n" * 25, ("a", "b")),),
            placement=Placement(
                ("node.role==worker",), (SpreadPreference("node.labels.a"), SpreadPreference("node.labels.b"))
            ),
        ),
    )
    assert said(WEB, after, **{"n" * 25: "front"}) == [
        ("constraint", "", "node.role==worker"),
        ("placement-pref", "", "spread=node.labels.a, spread=node.labels.b"),
        ("network front", "", "as a, b"),
        ("publish 80/tcp", "", "8080 on every node, 8081 on every node"),
        ("publish 53/udp", "", "any port on nodes with a task"),
        ("drain-time", "5s", "0s"),
    ]


def test_replicas_are_a_jobs_completions() -> None:
    job = replace(WEB, mode=ServiceMode(ServiceModeKind.REPLICATED_JOB, total_completions=5))
    assert said(job, replace(job, mode=replace(job.mode, total_completions=6, max_concurrent=2))) == [
        ("replicas", "5", "6"),
        ("max-concurrent", "", "2"),
    ]
    assert said(WEB, replace(WEB, mode=ServiceMode(replicas=0))) == [("replicas", "1", "0")]


def test_every_field_that_a_flag_sets_goes_by_the_flags_word() -> None:
    words = {**SCALARS, **MAPS, **{option: listed.path for option, listed in LISTS.items()}}
    words |= dict(zip(("cap_add", "cap_drop"), CAPABILITIES, strict=True))
    wrong = {
        option: difference._name(path)
        for option, path in words.items()
        if option != "registry_auth" and difference._name(path) != option.replace("_", "-")
    }
    assert not wrong


def test_no_field_is_left_out() -> None:
    after = changed(WEB, {"no_new_privileges": True, "oom_score_adj": 5})
    assert said(WEB, after) == [("no-new-privileges", "false", "true"), ("oom-score-adj", "0", "5")]
    assert flat(WEB)["name"] == "web"
    assert FieldChange() == FieldChange("", "", "")
