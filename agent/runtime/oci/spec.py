"""The OCI runtime specification of a container, as a pure function of what was asked and what the host is.

Follows the runtime specification 1.0.2; masked paths, default mounts and default limits are Docker's, so
that images find what they are used to.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from agent.runtime.seam import HOST_NETNS, Container
from covey.errors import InvalidArgument
from covey.model.specs import Ulimit

from .cgroups import Layout
from .host import Host
from .users import Identity

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INIT_TARGET = "/sbin/docker-init"
_NOFILE_DEFAULT = 1_048_576
_CPU_PERIOD_US = 100_000
_CPU_QUOTA_US_MIN = 1_000
_MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_ULIMITS = frozenset(
    (
        "AS",
        "CORE",
        "CPU",
        "DATA",
        "FSIZE",
        "LOCKS",
        "MEMLOCK",
        "MSGQUEUE",
        "NICE",
        "NOFILE",
        "NPROC",
        "RSS",
        "RTPRIO",
        "RTTIME",
        "SIGPENDING",
        "STACK",
    )
)


class BoundMount(Struct, frozen=True, gc=False):
    """A mount whose source is settled: what an OCI `mounts` entry says."""

    destination: str
    type: str
    source: str
    options: tuple[str, ...]


def specification(
    container: Container,
    host: Host,
    *,
    rootfs: str,
    cgroup: str,
    identity: Identity,
    mounts: Sequence[BoundMount],
    seccomp: Mapping[str, object] | None,
) -> dict[str, object]:
    """The content of `config.json`. `mounts` are the container's own; those every container has are added."""
    linux: dict[str, object] = {
        "namespaces": _namespaces(container, host),
        "resources": _resources(container, host),
        "cgroupsPath": cgroup,
        "maskedPaths": _MASKED,
        "readonlyPaths": _READ_ONLY,
        "sysctl": container.sysctls,
    }
    if seccomp is not None:
        linux["seccomp"] = seccomp
    init = container.init
    own = sorted(mounts, key=lambda each: each.destination.count("/"))
    if init:
        own.append(BoundMount(INIT_TARGET, "bind", host.init, ("bind", "ro")))
    return {
        "ociVersion": "1.0.2",
        "hostname": container.hostname or container.id[:12],
        "root": {"path": rootfs, "readonly": container.read_only},
        "process": {
            "terminal": False,
            "user": {
                "uid": identity.uid,
                "gid": identity.gid,
                # With the own group among them, or a program that changes its group would leave it behind,
                # and with it what files deny to that group (CVE-2022-36109).
                "additionalGids": sorted({identity.gid, *identity.groups}),
            },
            "args": [INIT_TARGET, "--", *container.args] if init else container.args,
            "env": environment(container, identity),
            "cwd": container.cwd,
            "capabilities": _capabilities(container, identity),
            "noNewPrivileges": container.no_new_privileges,
            "rlimits": rlimits(container.ulimits, host.rlimit_hard),
            "oomScoreAdj": container.oom_score_adj,
        },
        "mounts": [*_standard_mounts(), *own],
        "linux": linux,
    }


def environment(container: Container, identity: Identity) -> list[str]:
    """The container's environment; later settings win, and what every program expects is there."""
    settings = {"PATH": DEFAULT_PATH, "HOSTNAME": container.hostname or container.id[:12]}
    for entry in container.env:
        name, _, value = entry.partition("=")
        settings[name] = value
    settings.setdefault("HOME", identity.home)
    return [f"{name}={value}" for name, value in settings.items()]


def rlimits(ulimits: Sequence[Ulimit], hard_max: Mapping[str, int]) -> list[dict[str, object]]:
    """The `rlimits` list, each clamped to what this host lets us set (the runtime would fail otherwise)."""
    wanted = {"RLIMIT_NOFILE": (_NOFILE_DEFAULT, _NOFILE_DEFAULT)}
    for limit in ulimits:
        if limit.name.upper() not in _ULIMITS:
            known = ", ".join(sorted(name.lower() for name in _ULIMITS))
            raise InvalidArgument(f"ulimit {limit.name!r} is unknown; use one of {known}")
        wanted["RLIMIT_" + limit.name.upper()] = (limit.soft, limit.hard)
    out: list[dict[str, object]] = []
    for name, (soft, hard) in wanted.items():
        top = hard_max.get(name, _UNLIMITED)
        out.append({"type": name, "soft": _clamp(soft, top), "hard": _clamp(hard, top)})
    return out


def clamped(ulimits: Sequence[Ulimit], hard_max: Mapping[str, int]) -> list[str]:
    """Say which of the limits asked for this host does not let us set, and what they are instead."""
    said = []
    for limit in ulimits:
        top = hard_max.get("RLIMIT_" + limit.name.upper(), _UNLIMITED)
        if _clamp(limit.hard, _UNLIMITED) > top:
            said.append(f"{limit.name} is {top} in place of {'unlimited' if limit.hard < 0 else limit.hard}")
    return said


_UNLIMITED = (1 << 64) - 1


def _clamp(value: int, top: int) -> int:
    """Limits are unsigned; -1 stands for unlimited."""
    return min(_UNLIMITED if value < 0 else value, top)


def _namespaces(container: Container, host: Host) -> list[dict[str, str]]:
    network = [{"type": "network", "path": container.netns} if container.netns else {"type": "network"}]
    if container.netns == HOST_NETNS:
        network = []  # what is not named is shared with the runtime
    kinds = ["pid", "ipc", "uts", "mount"]
    if host.layout is Layout.V2:
        kinds.append(
            "cgroup"
        )  # on v1 Docker leaves it out too: the mounts below already show only what is ours
    return [*network, *({"type": kind} for kind in kinds)]


def _resources(container: Container, host: Host) -> dict[str, object]:
    asked = container.resources
    out: dict[str, object] = {
        "devices": [{"allow": False, "access": "rwm"}]
    }  # the runtime adds the harmless ones
    if asked.memory_bytes:
        memory = {"limit": asked.memory_bytes}
        if host.swap_limit:
            memory["swap"] = asked.memory_bytes  # memory and swap together: the limit is of both
        out["memory"] = memory
    if asked.nano_cpus:
        quota = asked.nano_cpus * _CPU_PERIOD_US // 1_000_000_000
        out["cpu"] = {"quota": max(quota, _CPU_QUOTA_US_MIN), "period": _CPU_PERIOD_US}
    if asked.pids:
        out["pids"] = {"limit": asked.pids}
    return out


def _capabilities(container: Container, identity: Identity) -> dict[str, Sequence[str]]:
    """Root has them all at once; others can only gain them, within the bound, by a setuid program."""
    if identity.uid != 0:
        return {"bounding": container.capabilities}
    return dict.fromkeys(("bounding", "effective", "permitted"), container.capabilities)


def _standard_mounts() -> list[BoundMount]:
    quiet = ("nosuid", "noexec", "nodev")
    return [
        BoundMount("/proc", "proc", "proc", quiet),
        BoundMount("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
        BoundMount(
            "/dev/pts",
            "devpts",
            "devpts",
            ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        ),
        BoundMount("/dev/shm", "tmpfs", "shm", (*quiet, "mode=1777", "size=65536k")),  # noqa: S108  its own
        BoundMount("/dev/mqueue", "mqueue", "mqueue", quiet),
        BoundMount("/sys", "sysfs", "sysfs", (*quiet, "ro")),
        BoundMount("/sys/fs/cgroup", "cgroup", "cgroup", (*quiet, "relatime", "ro")),
    ]
