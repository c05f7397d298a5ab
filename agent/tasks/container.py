"""From a task's spec and its image's configuration to what a runtime runs; pure.

Where both speak, the spec wins, by Docker's rules: `command` replaces the image's entrypoint, and then the
image's command does not count; `args` replace the image's command; an environment entry replaces that of
the same name, and one without `=` removes it.
"""

import re
from collections.abc import Iterable
from signal import Signals

from agent.dns.feed import Resolver
from agent.dns.resolv import resolv_conf
from agent.images.seam import ImageConfig, LocalImage
from agent.network.seam import Sandbox
from agent.runtime.capabilities import resolve
from agent.runtime.seam import HOST_NETNS, Container
from covey.errors import InvalidArgument
from covey.model import generic, predefined
from covey.model.names import task_name
from covey.model.objects import Revision, Task
from covey.model.specs import ContainerSpec, Mount
from covey.model.states import MountKind

from .files import NodeFacts, hostname_of, hosts_file, own_resolv_conf

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_RTMIN, _RTMAX = 34, 64  # as glibc's; the numbers signal(7) calls by name
_REAL_TIME = re.compile(r"RTM(IN|AX)([+-]\d+)?")


def image_reference(spec: ContainerSpec) -> str:
    """What to pull: the image as the user wrote it, pinned to the digest it stood for."""
    if not spec.image_digest or "@" in spec.image:
        return spec.image
    return f"{spec.image}@{spec.image_digest}"


def container_of(
    task: Task,
    revision: Revision,
    node: NodeFacts,
    image: LocalImage,
    sandbox: Sandbox,
    netns: str,
    resolver: Resolver | None,
) -> Container:
    """Everything the runtime must know to run `task`.

    Raises:
        InvalidArgument: spec and image together say nothing that can be run.
    """
    spec = revision.spec.task.container
    shared = shares_node(revision)
    hostname = hostname_of(task.id, spec, node if shared else None)
    stop_signal = spec.stop_signal or image.config.stop_signal
    signal_number(stop_signal)
    return Container(
        id=task.id,
        layers=image.layers,
        args=_argv(spec, image.config),
        env=_environment(task, revision, node, image.config, hostname),
        cwd=spec.workdir or image.config.workdir or "/",
        user=spec.user or image.config.user,
        groups=spec.groups,
        hostname=hostname,
        mounts=_mounts(spec.mounts, image.config.volumes),
        resources=revision.spec.task.resources.limits,
        capabilities=resolve(spec.capability_add, spec.capability_drop),
        seccomp_unconfined=spec.seccomp_unconfined,
        no_new_privileges=spec.no_new_privileges,
        read_only=spec.read_only,
        init=spec.init,
        sysctls=spec.sysctls,
        ulimits=spec.ulimits,
        oom_score_adj=spec.oom_score_adj,
        netns=HOST_NETNS if shared else netns,
        resolv_conf=resolv_conf(resolver)
        if resolver is not None
        else own_resolv_conf(spec, node, shared=shared),
        hosts=hosts_file(hostname, sandbox, spec.hosts, ipv6=node.ipv6),
        labels={**image.config.labels, **spec.labels, **_own_labels(task, revision)},
        stop_signal=stop_signal,
    )


def shares_node(revision: Revision) -> bool:
    """Tell whether tasks of a revision are in the node's own network."""
    return predefined.kind_of(revision.spec.task.networks) == predefined.HOST


def signal_number(text: str) -> int:
    """The number of a signal as people and images write it (`SIGQUIT`, `quit`, `3`, `RTMIN+3`).

    Empty means SIGTERM.
    """
    name = text.strip().upper().removeprefix("SIG") or "TERM"
    if name.isdecimal() and 1 <= int(name) <= _RTMAX:
        return int(name)
    if match := _REAL_TIME.fullmatch(name):
        number = (_RTMIN if match[1] == "IN" else _RTMAX) + int(match[2] or 0)
        if _RTMIN <= number <= _RTMAX:
            return number
    elif f"SIG{name}" in Signals.__members__:
        return Signals[f"SIG{name}"]
    raise InvalidArgument(f"stop signal {text!r} is unknown; use a name of signal(7) such as SIGTERM")


def _argv(spec: ContainerSpec, image: ImageConfig) -> tuple[str, ...]:
    if spec.command:
        argv = spec.command + spec.args
    else:
        argv = image.entrypoint + (spec.args or image.cmd)
    if not argv:
        raise InvalidArgument(f"image {spec.image} says nothing of what to run; give the service a command")
    return argv


def _environment(
    task: Task, revision: Revision, node: NodeFacts, image: ImageConfig, hostname: str
) -> tuple[str, ...]:
    spec = revision.spec
    ours = (
        f"COVEY_TASK_NAME={task_name(spec, task)}",
        f"COVEY_NODE_NAME={node.name}",
        f"COVEY_SERVICE_NAME={spec.name}",
    )
    given = generic.variables(task.generic)
    return _merged((PATH, f"HOSTNAME={hostname}", *image.env, *spec.task.container.env, *ours, *given))


def _merged(entries: Iterable[str]) -> tuple[str, ...]:
    by_name: dict[str, str] = {}
    for entry in entries:
        name, has_value, _ = entry.partition("=")
        if has_value:
            by_name[name] = entry
        else:
            by_name.pop(name, None)
    return tuple(by_name.values())


def _mounts(mounts: tuple[Mount, ...], volumes: tuple[str, ...]) -> tuple[Mount, ...]:
    """The spec's mounts, and an anonymous volume for each of the image's that none of them covers."""
    taken = {mount.target.rstrip("/") for mount in mounts}
    anonymous = [v for v in volumes if v.rstrip("/") not in taken]
    return mounts + tuple(Mount(kind=MountKind.VOLUME, target=target) for target in anonymous)


def _own_labels(task: Task, revision: Revision) -> dict[str, str]:
    return {
        "covey.task.id": task.id,
        "covey.task.name": task_name(revision.spec, task),
        "covey.service.id": task.service_id,
        "covey.service.name": revision.spec.name,
        "covey.node.id": task.node_id,
    }
