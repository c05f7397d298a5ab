"""Templates of a container: checked when it is asked for, filled in for each task, and checked again."""

import pytest

from covey.errors import InvalidArgument
from covey.model import expansion
from covey.model.objects import Node, Task
from covey.model.specs import ContainerSpec, Mount, NodeSpec, ServiceMode, ServiceSpec, TaskSpec
from covey.model.states import MountKind, ServiceModeKind
from covey.model.template import Facts

FACTS = Facts(
    service_name="web", task_slot="3", task_id="t" * 25, node_labels={"root": "/srv", "up": "../etc"}
)


def volume(source: str, target: str = "/data", **labels: str) -> Mount:
    return Mount(kind=MountKind.VOLUME, source=source, target=target, labels=labels)


def spec(kind: ServiceModeKind = ServiceModeKind.REPLICATED, **container: object) -> ServiceSpec:
    task = TaskSpec(container=ContainerSpec(**container))  # type: ignore[arg-type]
    return ServiceSpec(name="web", labels={"team": "red"}, task=task, mode=ServiceMode(kind=kind))


def test_host_name_environment_and_mounts_are_filled_in() -> None:
    container = ContainerSpec(
        image="web:{{.Task.Slot}}",
        args=("{{.Task.Slot}}",),
        labels={"slot": "{{.Task.Slot}}"},
        hostname="web-{{.Task.Slot}}",
        env=("SLOT={{.Task.Slot}}", "GONE", "{{.Name}}=as it stands", "EQUATION={{.Task.Slot}}=3"),
        mounts=(
            volume("data-{{.Task.Slot}}", "/{{.Service.Name}}", slot="{{.Task.Slot}}"),
            Mount(source="{{.Node.Labels.root}}/x", target="/x"),
            Mount(kind=MountKind.TMPFS, target="/tmp"),
            volume("", "/anonymous"),
        ),
    )
    assert expansion.has_templates(container)
    done = expansion.expanded(container, FACTS)
    assert done.hostname == "web-3"
    assert done.env == ("SLOT=3", "GONE", "{{.Name}}=as it stands", "EQUATION=3=3")
    assert [(m.source, m.target) for m in done.mounts] == [
        ("data-3", "/web"),
        ("/srv/x", "/x"),
        ("", "/tmp"),
        ("", "/anonymous"),
    ]
    assert done.mounts[0].labels == {"slot": "3"}
    assert (done.image, done.args, done.labels) == (container.image, container.args, container.labels)


def test_what_has_no_templates_stays_as_it_is() -> None:
    container = ContainerSpec(hostname="web", env=("A=}}b",), mounts=(volume("data"),))
    assert not expansion.has_templates(container)
    assert expansion.expanded(container, FACTS) == container


@pytest.mark.parametrize(
    ("container", "sentence"),
    [
        (
            ContainerSpec(hostname="web-{{.Node.Labels.none}}"),
            "hostname: 'web-{{.Node.Labels.none}}' becomes 'web-', which is not a host name",
        ),
        (ContainerSpec(hostname="h{{.Task.ID}}{{.Task.ID}}{{.Task.ID}}"), "which is not a host name; use up to 64"),
        (ContainerSpec(env=("A=b={{.X}}",)), "env A: 'b={{.X}}' names .X, which does not exist"),
        (ContainerSpec(env=('A={{"\\x00"}}',)), "becomes '\\x00', which has a zero byte in it"),
        (
            ContainerSpec(mounts=(volume("{{.Node.Labels.none}}"),)),
            "mount source: '{{.Node.Labels.none}}' becomes '', which is empty; see that the labels it names are there",
        ),
        (ContainerSpec(mounts=(volume("a{{.Node.Labels.root}}"),)), "becomes 'a/srv', which is not a volume's name"),
        (
            ContainerSpec(mounts=(Mount(source="{{.Node.Labels.none}}x", target="/x"),)),
            "becomes 'x', which is not an absolute path; a bind needs one",
        ),
        (
            ContainerSpec(mounts=(Mount(source="/srv/{{.Node.Labels.up}}", target="/x"),)),
            "becomes '/srv/../etc', which leads upward",
        ),
        (
            ContainerSpec(mounts=(Mount(source="/srv", target="/{{.Node.Labels.up}}"),)),
            "mount target: '/{{.Node.Labels.up}}' becomes '/../etc', which leads upward",
        ),
        (
            ContainerSpec(mounts=(volume("b", "/3/"), volume("a", "/{{.Task.Slot}}"))),
            "mount target: '/{{.Task.Slot}}' becomes '/3', as another one does",
        ),
        (ContainerSpec(hostname="{{.Nope}}"), "hostname: '{{.Nope}}' names .Nope, which does not exist"),
    ],
)  # fmt: skip
def test_what_came_of_a_template_must_be_sound(container: ContainerSpec, sentence: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        expansion.expanded(container, FACTS)
    assert sentence in str(refusal.value)


def test_the_host_name_is_the_specs_or_the_tasks() -> None:
    task, node = Task(id="t" * 25, slot=2), Node(id="n1", spec=NodeSpec(labels={"zone": "a"}))
    assert expansion.hostname_of(spec(), task, node) == "t" * 12
    assert expansion.hostname_of(spec(hostname="db"), task, node) == "db"
    filled = expansion.hostname_of(
        spec(hostname="{{.Service.Name}}-{{.Node.Labels.zone}}-{{.Task.Slot}}"), task, node
    )
    assert filled == "web-a-2"


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (
            spec(hostname="-{{.Task.Slot}}"),
            "hostname: '-{{.Task.Slot}}' becomes '-1', which is not a host name",
        ),
        (spec(hostname="{{.Task.Slt}}"), "hostname: '{{.Task.Slt}}' names .Task.Slt, which does not exist"),
        (spec(hostname="{{.Node.Labels}}"), "names all of .Node.Labels; name one of them"),
        (spec(hostname="a_b"), "hostname: 'a_b' is not a host name"),
        (spec(env=("A={{secret}}",)), "env A: '{{secret}}' calls 'secret', and there are no functions"),
        (spec(env=('A={{"\\x00"}}',)), "becomes '\\x00', which has a zero byte in it"),
        (spec(env=("={{.Service.Name}}",)), "env: '={{.Service.Name}}' is not NAME=value"),
        (spec(mounts=(volume("{{.Service.Labels.none}}"),)), "becomes '', which is empty"),
        (
            spec(mounts=(volume("x", "{{.Task.Slot}}"),)),
            "mount target: '{{.Task.Slot}}' becomes '1', which is not an",
        ),
        (spec(mounts=(volume("x", a="{{"),)), "volume-label: '{{' does not end what '{{' begins"),
        (
            spec(ServiceModeKind.GLOBAL, hostname="{{.Task.Slot}}-{{.Task.Slot}}-{{.Task.Slot}}"),
            "which is not a host name; use up to 64",
        ),
    ],
)
def test_what_can_be_known_beforehand_is_refused_when_it_is_asked_for(
    asked: ServiceSpec, sentence: str
) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        expansion.check_container(asked)
    assert sentence in str(refusal.value)


def test_what_nodes_labels_will_say_is_not_guessed() -> None:
    expansion.check_container(
        spec(
            hostname="{{.Node.Labels.name}}",
            env=("SLOT={{.Task.Slot}}", "TEAM={{index .Service.Labels `team`}}"),
            mounts=(
                Mount(source="{{.Node.Labels.root}}/web", target="/{{.Service.Labels.team}}"),
                Mount(source="/srv/{{.Node.Hostname}}", target="/x"),
                volume("data-{{.Task.Name}}", "/data", slot="{{.Task.Slot}}"),
            ),
        )
    )
