"""What a container's host name, environment and mounts must be, and how their templates are filled in for a task.

Managers check what can be known when a service is created (`check_container`); agents fill templates in and
check what came of it (`expanded`): a node's label may be anything. Fields and their order are Docker Swarm's: the
host name, each variable's value, and each mount's source, target and volume labels' values. Pure.
"""

import re
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from covey.errors import InvalidArgument
from covey.model import template
from covey.model.jobs import extent
from covey.model.objects import Node, NodeDescription, Task
from covey.model.specs import ContainerSpec, Mount, Platform, ServiceSpec
from covey.model.states import MountKind
from covey.model.template import Facts, Label

HOSTNAME_CHARS_MAX = 64  # as the kernel's
_HOSTNAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?")
_VOLUME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_OPEN = "{{"
_ID = "x" * 25  # as long as ids are

Fault = Callable[[str], str]
"""Says what is wrong with a text, as the end of a sentence that begins with it; nothing if it is sound."""


def hostname_fault(text: str) -> str:
    """Judge a host name."""
    if len(text) <= HOSTNAME_CHARS_MAX and _HOSTNAME.fullmatch(text):
        return ""
    return f"is not a host name; use up to {HOSTNAME_CHARS_MAX} letters, digits, - and ."


def variable_fault(text: str) -> str:
    """Judge an entry of the environment; `NAME` alone removes what the image has of that name."""
    if not text.partition("=")[0]:
        return "is not NAME=value"
    return _text_fault(text)


def source_fault(kind: MountKind, text: str) -> str:
    """Judge where a mount comes from."""
    match kind:
        case MountKind.BIND if not text.startswith("/"):
            return "is not an absolute path; a bind needs one on the node"
        case MountKind.VOLUME if text and not _VOLUME.fullmatch(text):
            return "is not a volume's name; for a host path use type=bind"
        case MountKind.TMPFS if text:
            return "has no meaning for a tmpfs; leave it out"
        case _:
            return _text_fault(text)


def target_fault(text: str) -> str:
    """Judge where a mount is seen in the container."""
    if not text.startswith("/") or mounted_at(text) == "/":
        return "is not an absolute path inside the container; write it like /data"
    return _text_fault(text) or _upward(text)


def mounted_at(target: str) -> str:
    """Where a mount really is, however its target is written: `/data//x/` and `/data/./x` are one place."""
    return "/" + "/".join(part for part in target.split("/") if part not in ("", "."))


def _text_fault(text: str) -> str:
    return "has a zero byte in it; leave that out" if "\0" in text else ""


def _filled_source_fault(kind: MountKind, text: str) -> str:
    if not text:
        return "is empty; see that the labels it names are there"  # else it would be an anonymous volume
    return source_fault(kind, text) or _upward(text)


def _upward(text: str) -> str:
    return "leads upward; have no .. in it" if ".." in text.split("/") else ""


# --- managers --------------------------------------------------------------------------------------


def check_container(spec: ServiceSpec) -> None:
    """Check the fields that may hold templates. Raises `InvalidArgument` naming field, value and remedy.

    A template that asks for nothing of the node's labels is tried out, with facts such as a task will have.
    """
    container = spec.task.container
    if container.hostname:
        _check(spec, "hostname", container.hostname, hostname_fault, hostname_fault)
    for variable in container.env:
        if fault := variable_fault(variable):
            raise InvalidArgument(f"env: {variable!r} {fault}")
        name, _, value = variable.partition("=")
        _check(spec, f"env {name}", value, _text_fault, _text_fault)
    for mount in container.mounts:
        kind = mount.kind
        _check(spec, "mount target", mount.target, target_fault, target_fault)  # first: it names the mount
        _check(
            spec,
            "mount source",
            mount.source,
            partial(source_fault, kind),
            partial(_filled_source_fault, kind),
        )
        for value in mount.labels.values():
            template.check("volume-label", value)


def _check(spec: ServiceSpec, field: str, text: str, plain: Fault, filled: Fault) -> None:
    if _OPEN not in text:
        if fault := plain(text):
            raise InvalidArgument(f"{field}: {text!r} {fault}")
    elif not any(
        isinstance(part, Label) and part.of == ".Node.Labels" for part in template.parts(field, text)
    ):
        _filled(field, text, _sample(spec), filled)


def _sample(spec: ServiceSpec) -> Facts:
    """Facts that a task of the service might have: that of the longest name."""
    most = extent(spec.mode)[0] if spec.mode.kind.job else spec.mode.replicas
    slot = 0 if spec.mode.kind.everywhere else max(most, 1)
    node = Node(id=_ID, description=NodeDescription(hostname="node", platform=Platform("linux", "amd64")))
    return template.facts_of(spec, Task(id=_ID, service_id=_ID, node_id=_ID, slot=slot), node)


# --- agents ----------------------------------------------------------------------------------------


def has_templates(container: ContainerSpec) -> bool:
    """Tell whether anything is to be filled in; most containers have nothing."""
    mounts = (text for m in container.mounts for text in (m.source, m.target, *m.labels.values()))
    return any(_OPEN in text for text in (container.hostname, *container.env, *mounts))


def expanded(container: ContainerSpec, facts: Facts) -> ContainerSpec:
    """Fill in what is to be filled in.

    Raises:
        InvalidArgument: what came of a template cannot be used. The message names field, template and result.
    """
    mounts = tuple(_mounted(mount, facts) for mount in container.mounts)
    seen = set[str]()
    for mount, asked in zip(mounts, container.mounts, strict=True):
        target = mounted_at(mount.target)
        if target in seen:
            raise InvalidArgument(f"mount target: {asked.target!r} becomes {target!r}, as another one does")
        seen.add(target)
    return replace(
        container,
        hostname=_filled("hostname", container.hostname, facts, hostname_fault),
        env=tuple(_variable(variable, facts) for variable in container.env),
        mounts=mounts,
    )


def hostname_of(spec: ServiceSpec, task: Task, node: Node) -> str:
    """The host name of a task's container: the user's, or the first twelve characters of the task's id.

    Raises `InvalidArgument`, as `expanded`.
    """
    hostname = spec.task.container.hostname
    if _OPEN in hostname:
        return _filled("hostname", hostname, template.facts_of(spec, task, node), hostname_fault)
    return hostname or task.id[:12]


def _variable(variable: str, facts: Facts) -> str:
    """Fill in a variable's value; its name is as it stands, as with Swarm."""
    name, equals, value = variable.partition("=")
    return f"{name}{equals}{_filled(f'env {name}', value, facts, _text_fault)}"


def _mounted(mount: Mount, facts: Facts) -> Mount:
    fault = partial(_filled_source_fault, mount.kind)
    return replace(
        mount,
        source=_filled("mount source", mount.source, facts, fault),
        target=_filled("mount target", mount.target, facts, target_fault),
        labels={
            key: _filled("volume-label", value, facts, _text_fault) for key, value in mount.labels.items()
        },
    )


def _filled(field: str, text: str, facts: Facts, fault: Fault) -> str:
    if _OPEN not in text:
        return text
    result = template.expand(field, text, facts)
    if found := fault(result):
        raise InvalidArgument(f"{field}: {text!r} becomes {result!r}, which {found}")
    return result
