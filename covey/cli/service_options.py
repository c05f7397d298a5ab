"""The options of `service create` and `service update`, as one table: the same words for both.

`create` takes `--env`, `update` takes `--env-add` and `--env-rm`; scalars are the same in both. The names
are those that `covey.cli.spec.fields` knows.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from covey.model.states import Affinity, EndpointMode, FailureAction, RestartCondition, UpdateOrder

from .options import Named, Number, Parsed
from .parse import amounts, attachments, environment, mounts, others, pairs, ports

F = TypeVar("F", bound=Callable[..., Any])

DURATION = Parsed("duration", amounts.duration_ns)
SIZE = Parsed("bytes", amounts.size_bytes)
CPUS = Parsed("cpus", amounts.nano_cpus)
COUNT = Number(0, 1_000_000_000)
RATIO = click.FloatRange(0, 1)
PAIR = Parsed("key=value", pairs.key_value)
PORT = Parsed("port", ports.publish)
VARIABLE = Parsed("variable", lambda text: environment.variable(text, os.environ) or ())
FLAG = click.BOOL


@dataclass(frozen=True, slots=True)
class Scalar:
    """An option with one value, the same in create and update."""

    flags: str
    kind: click.ParamType[Any] | type
    help: str


@dataclass(frozen=True, slots=True)
class Many:
    """An option that may be given again: `--X` in create, `--X-add` and `--X-rm` in update."""

    flags: str
    kind: click.ParamType[Any] | type
    removal: click.ParamType[Any] | type
    help: str
    removes_by: str


def _rollout(noun: str, said: str, actions: Named) -> tuple[Scalar, ...]:
    return (
        Scalar(
            f"--{noun}-parallelism", COUNT, f"How many tasks {said} replaces at once; 0: all. [default: 1]"
        ),
        Scalar(f"--{noun}-delay", DURATION, f"The pause of {said} after each of them. [default: 0s]"),
        Scalar(f"--{noun}-failure-action", actions, f"What {said} does once it has failed. [default: pause]"),
        Scalar(f"--{noun}-monitor", DURATION, f"How long {said} watches each new task. [default: 5s]"),
        Scalar(
            f"--{noun}-max-failure-ratio", RATIO, f"The part of tasks that may fail in {said}. [default: 0]"
        ),
        Scalar(f"--{noun}-order", Named(UpdateOrder), f"Which comes first in {said}. [default: stop-first]"),
        Scalar(
            f"--{noun}-start-deadline",
            DURATION,
            f"How long a new task of {said} may take until it runs, before it has failed; 0: without end. [default: 5m]",
        ),
    )


SCALARS = (
    Scalar(
        "--replicas",
        COUNT,
        "How many tasks a replicated service has, or how many of a job are to complete. [default: 1]",
    ),
    Scalar(
        "--max-concurrent",
        COUNT,
        "How many tasks of a replicated job run at once; 0: all. [default: as many as --replicas]",
    ),
    Scalar("--replicas-max-per-node", COUNT, "At most so many tasks on one node; 0 means any number."),
    Scalar(
        "--endpoint-mode",
        Named(EndpointMode),
        "What the service's name is: one virtual address, or all tasks'. [default: vip]",
    ),
    Scalar(
        "--affinity",
        Named(Affinity),
        "Whether a client's connections all go to the same task: client, or none. [default: none]",
    ),
    Scalar(
        "--entrypoint", Parsed("command", others.command), "The command that replaces the image's entrypoint."
    ),
    Scalar("-u --user", str, "The user in the container: NAME or UID, perhaps with :GROUP."),
    Scalar("-w --workdir", str, "The working directory in the container."),
    Scalar("--hostname", str, "The container's host name."),
    Scalar("--stop-signal", str, "The signal that asks it to stop."),
    Scalar(
        "--stop-grace-period", DURATION, "How long it may take to stop before it is killed. [default: 10s]"
    ),
    Scalar(
        "--drain-time",
        DURATION,
        "How long connections of a task that is to stop may go on before it is asked to. [default: 5s]",
    ),
    Scalar(
        "--health-cmd",
        Parsed("command", others.health_test),
        "The check of a container's health, run in it by its shell; exit code 0 is healthy.",
    ),
    Scalar("--health-interval", DURATION, "The time between checks. [default: the image's, or 30s]"),
    Scalar("--health-timeout", DURATION, "How long a check may take. [default: the image's, or 30s]"),
    Scalar(
        "--health-retries",
        COUNT,
        "After so many failures in a row it is unhealthy, and replaced. [default: the image's, or 3]",
    ),
    Scalar(
        "--health-start-period",
        DURATION,
        "How long failures at the start do not count. [default: the image's, or 0s]",
    ),
    Scalar(
        "--health-start-interval",
        DURATION,
        "The time between checks meanwhile. [default: the image's, or 5s]",
    ),
    Scalar("--no-healthcheck", FLAG, "Do without the image's health check."),
    Scalar("--read-only", FLAG, "Make the container's root filesystem read-only."),
    Scalar("--init", FLAG, "Run a small init in the container that forwards signals and reaps."),
    Scalar("--no-new-privileges", FLAG, "Keep processes from gaining privileges (setuid programs)."),
    Scalar(
        "--oom-score-adj",
        Number(-1000, 1000),
        "How readily the kernel kills it when memory runs out.",
    ),
    Scalar("--limit-cpu", CPUS, "How many CPUs a task may use, such as 0.5."),
    Scalar("--limit-memory", SIZE, "How much memory a task may use, such as 256m."),
    Scalar("--limit-pids", COUNT, "How many processes a task may have; 0 means any number."),
    Scalar("--reserve-cpu", CPUS, "How many CPUs are kept for each task."),
    Scalar("--reserve-memory", SIZE, "How much memory is kept for each task."),
    Scalar(
        "--restart-condition", Named(RestartCondition), "When a task that ended is replaced. [default: any]"
    ),
    Scalar("--restart-delay", DURATION, "The pause before that. [default: 5s]"),
    Scalar("--restart-max-attempts", COUNT, "How often, at most; 0 means without end."),
    Scalar("--restart-window", DURATION, "The time over which attempts are counted."),
    *_rollout("update", "an update", Named(FailureAction)),
    *_rollout("rollback", "a rollback", Named(FailureAction, without=FailureAction.ROLLBACK)),
)

MANY = (
    Many("-e --env", VARIABLE, str, "An environment variable, NAME=VALUE or NAME to pass on ours.", "NAME"),
    Many(
        "-p --publish",
        PORT,
        Parsed("port", ports.target),
        "A port to publish, such as 8080:80 or 53:53/udp.",
        "TARGET[/PROTOCOL]",
    ),
    Many(
        "--mount",
        Parsed("mount", mounts.mount),
        str,
        "A mount: type=volume,source=data,target=/data.",
        "TARGET",
    ),
    Many(
        "--network",
        Parsed("network", attachments.attachment),
        str,
        "A network to join: NET, or name=NET,alias=A.",
        "NETWORK",
    ),
    Many(
        "--constraint",
        Parsed("constraint", others.constraint),
        Parsed("constraint", others.constraint),
        "Where tasks must run: node.labels.disk==ssd.",
        "CONSTRAINT",
    ),
    Many(
        "--placement-pref",
        Parsed("preference", others.preference),
        Parsed("preference", others.preference),
        "What tasks are spread over: spread=node.labels.zone.",
        "PREFERENCE",
    ),
    Many(
        "--generic-resource",
        Parsed("resource", others.generic_resource),
        str,
        "So many of what nodes offer, kept for each task: gpu=2.",
        "KIND",
    ),
    Many("-l --label", PAIR, str, "A label of the service.", "KEY"),
    Many("--container-label", PAIR, str, "A label of its containers.", "KEY"),
    Many("--sysctl", PAIR, str, "A kernel setting in its containers.", "KEY"),
    Many(
        "--ulimit",
        Parsed("ulimit", others.ulimit),
        str,
        "A limit of its processes: nofile=1024:4096.",
        "NAME",
    ),
    Many("--group", str, str, "A further group of the container's user.", "GROUP"),
    Many(
        "--host",
        Parsed("host", attachments.host_entry),
        Parsed("host", attachments.host_entry),
        "A line for /etc/hosts: NAME:ADDRESS.",
        "NAME:ADDRESS",
    ),
    Many(
        "--dns",
        Parsed("address", attachments.address),
        Parsed("address", attachments.address),
        "A name server for names that are not the cluster's.",
        "ADDRESS",
    ),
    Many("--dns-search", str, str, "A search domain.", "DOMAIN"),
    Many("--dns-option", str, str, "A resolver option.", "OPTION"),
)

SAME_IN_BOTH = (
    click.option("--cap-add", multiple=True, metavar="CAP", help="A capability to add."),
    click.option("--cap-drop", multiple=True, metavar="CAP", help="A capability to take away; ALL for all."),
    click.option(
        "--no-resolve-image",
        is_flag=True,
        help="Do not ask the registry which image the tag stands for; nodes may come to run different ones.",
    ),
    click.option(
        "--with-registry-auth",
        is_flag=True,
        help="Give the nodes your credentials for the image's registry.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="Show no progress."),
)


def _scalar(option: Scalar) -> Callable[[F], F]:
    flags = option.flags.split()
    if option.kind is FLAG:
        # Docker's form `--read-only=false` is not click's; `--no-X` says the same.
        name = flags[-1].removeprefix("--")
        negative = f"--{name.removeprefix('no-')}" if name.startswith("no-") else f"--no-{name}"
        return click.option(f"--{name}/{negative}", name.replace("-", "_"), default=None, help=option.help)
    return click.option(*flags, type=option.kind, default=None, help=option.help)


def creating(command: F) -> F:
    """Add the options of `service create`."""
    for option in reversed(SAME_IN_BOTH):
        command = option(command)
    for many in reversed(MANY):
        command = click.option(*many.flags.split(), type=many.kind, multiple=True, help=many.help)(command)
    for scalar in reversed(SCALARS):
        command = _scalar(scalar)(command)
    return command


def updating(command: F) -> F:
    """Add the options of `service update`."""
    for option in reversed(SAME_IN_BOTH):
        command = option(command)
    for many in reversed(MANY):
        flag = many.flags.split()[-1]
        article = many.help[0].lower() + many.help[1:]
        removal = click.option(
            f"{flag}-rm",
            type=many.removal,
            multiple=True,
            metavar=many.removes_by,
            help=f"Remove {flag[2:]}.",
        )
        command = removal(command)
        command = click.option(f"{flag}-add", type=many.kind, multiple=True, help=f"Add {article}")(command)
    for scalar in reversed(SCALARS):
        command = _scalar(scalar)(command)
    return command


def flattened(options: dict[str, Any]) -> dict[str, Any]:
    """Join what one option may say at once: a range of ports is several, an unset variable is none."""
    for name in ("publish", "publish_add"):
        if name in options:
            options[name] = tuple(port for several in options[name] for port in several)
    for name in ("env", "env_add"):
        if name in options:
            options[name] = tuple(variable for variable in options[name] if variable)
    return options
