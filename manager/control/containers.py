"""Is what a service says of its containers sound in itself?"""

import re
import signal
from collections.abc import Sequence
from ipaddress import ip_address

from covey import limits
from covey.model import expansion, reference
from covey.model.capability import CAPABILITIES
from covey.model.quantity import duration_text
from covey.model.specs import ContainerSpec, HealthCheck, Mount, RegistryAuth, ServiceSpec
from covey.model.states import MountKind

from .refusal import check_labels, check_not_negative, check_unique, is_address, is_number, is_word, refuse

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SYSCTL = re.compile(r"[a-z0-9_-]+(?:[./][a-z0-9_*-]+)+", re.IGNORECASE)
_ULIMITS = frozenset(
    "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()
)
_PROPAGATIONS = frozenset(("private", "rprivate", "shared", "rshared", "slave", "rslave"))
_USER = re.compile(r"[^:\s]+(:[^:\s]+)?")
_NO_CHECK = ("NONE",)


def check_container(spec: ServiceSpec) -> None:
    """Check all that an agent would otherwise stumble over only when the task is to start."""
    container = spec.task.container
    reference.parse(container.image)
    expansion.check_container(spec)
    _check_texts(container)
    _check_users(container)
    digest = container.image_digest
    if digest and not _DIGEST.fullmatch(digest):
        raise refuse("image-digest", digest, "is not sha256: and 64 hexadecimal digits; leave it empty")
    check_labels("container-label", container.labels)
    if container.workdir and not container.workdir.startswith("/"):
        raise refuse("workdir", container.workdir, "is not absolute; begin it with /")
    if container.stop_signal:
        _check_signal(container.stop_signal)
    check_not_negative("stop-grace-period", container.stop_grace_ns, "0 kills at once")
    for mount in container.mounts:
        _check_mount(mount)
    targets = [expansion.mounted_at(mount.target) for mount in container.mounts]
    check_unique("mount", targets, "is mounted on twice; choose another target")
    for field, names in (("cap-add", container.capability_add), ("cap-drop", container.capability_drop)):
        for name in names:
            if name.upper().removeprefix("CAP_") not in CAPABILITIES | {"ALL"}:
                raise refuse(field, name, "is not a capability; see capabilities(7), or use ALL")
    _check_names(container)
    _check_kernel_settings(container)
    if container.health is not None:
        _check_health(container.health)


def _check_health(health: HealthCheck) -> None:
    for field, value in (
        ("health-interval", health.interval_ns),
        ("health-timeout", health.timeout_ns),
        ("health-start-period", health.start_period_ns),
        ("health-start-interval", health.start_interval_ns),
    ):
        if value and value < limits.health_check_ns_min:
            shown = duration_text(value) if value > 0 else f"{value} ns"
            raise refuse(
                field, shown, "is less than 1ms, the least; 0 takes the image's, or Docker's default"
            )
    check_not_negative("health-retries", health.retries, "0 takes the image's, or 3")
    match health.test:
        case () | ("NONE",) | ("CMD", _, *_) | ("CMD-SHELL", _):
            pass
        case ("NONE" | "CMD" | "CMD-SHELL", *_):
            remedy = "is no check; write NONE alone, CMD and a program with arguments, or CMD-SHELL and one command"
            raise refuse("health-cmd", list(health.test), remedy)
        case (kind, *_):
            raise refuse("health-cmd", kind, "is no kind of check; begin it with NONE, CMD or CMD-SHELL")
    if len(health.test) > 1 and not health.test[1].strip():
        raise refuse("health-cmd", health.test[1], "is an empty command; write one, or use --no-healthcheck")
    if health.test == _NO_CHECK and health != HealthCheck(test=_NO_CHECK):
        raise refuse("no-healthcheck", "NONE", "contradicts the other fields of the check; leave those out")


def _check_users(container: ContainerSpec) -> None:
    """The user and the groups, by name or number: what else they are, the image decides."""
    if container.user and not _USER.fullmatch(container.user):
        raise refuse("user", container.user, "is not a user; write NAME or UID, perhaps with :GROUP")
    for group in container.groups:
        if not is_word(group) or ":" in group:
            raise refuse("group", group, "is not a group; write a name or a number")
    if container.registry_auth == RegistryAuth():
        raise refuse("registry-auth", "", "has neither user nor password; log in again, or leave it out")


def _check_texts(container: ContainerSpec) -> None:
    """No program's argument, variable or path can hold a zero byte: it would end there."""
    texts = {
        "entrypoint": container.command,
        "args": container.args,
        "health-cmd": container.health.test if container.health else (),
        "user": (container.user,),
        "group": container.groups,
        "workdir": (container.workdir,),
    }
    for field, values in texts.items():
        for value in values:
            if "\0" in value:
                raise refuse(field, value[:80], "has a zero byte in it; leave that out")


def _check_kernel_settings(container: ContainerSpec) -> None:
    for key, value in container.sysctls.items():
        if not _SYSCTL.fullmatch(key) or "\0" in value:
            raise refuse("sysctl", key, "is not a kernel setting; write it like net.core.somaxconn=1024")
    for ulimit in container.ulimits:
        if ulimit.name not in _ULIMITS:
            raise refuse("ulimit", ulimit.name, f"is not a limit; there are {', '.join(sorted(_ULIMITS))}")
        soft, hard = ulimit.soft, ulimit.hard
        if min(soft, hard) < -1 or (hard != -1 and (soft == -1 or soft > hard)):
            raise refuse(f"ulimit {ulimit.name}", f"{soft}:{hard}", "is not SOFT:HARD; -1 means no limit")
    check_unique("ulimit", [ulimit.name for ulimit in container.ulimits], "is given twice; give it once")
    if not -1000 <= container.oom_score_adj <= 1000:
        raise refuse("oom-score-adj", container.oom_score_adj, "is not between -1000 and 1000")


def _check_names(container: ContainerSpec) -> None:
    for entry in container.hosts:
        host, _, address = entry.partition(":")
        if not host or not is_address(address):
            raise refuse("host", entry, "is not NAME:ADDRESS")
        if not is_word(host):
            raise refuse("host", entry, "has a name with spaces in it; a line of /etc/hosts cannot")
    _check_name_servers(container.dns.nameservers if container.dns else ())
    for field, words in (
        ("dns-search", container.dns.search if container.dns else ()),
        ("dns-option", container.dns.options if container.dns else ()),
    ):
        for word in words:
            if not is_word(word):
                raise refuse(field, word, "is not one word; a line of /etc/resolv.conf holds several")


def _check_name_servers(servers: Sequence[str]) -> None:
    """Refuse those that would never be asked."""
    for server in servers:
        if not is_address(server):
            raise refuse("dns", server, "is not an IP address")
        address = ip_address(server)
        if address.is_unspecified or address.is_multicast:
            raise refuse("dns", server, "is no single host's address; give that of a name server")
        if server == limits.dns_address:
            raise refuse(
                "dns", server, "is what containers ask in any case; give whom it is to ask, or leave it out"
            )
    check_unique("dns", servers, "is given twice; give it once")
    if len(servers) > limits.dns_upstreams_max:
        most = limits.dns_upstreams_max
        raise refuse("dns", servers[most], f"is one too many: {most} at most are asked; leave out one")


def _check_signal(name: str) -> None:
    known = {s.name for s in signal.Signals} | {s.name.removeprefix("SIG") for s in signal.Signals}
    if name.upper() not in known and not (is_number(name) and 0 < int(name) < signal.NSIG):
        raise refuse("stop-signal", name, "is not a signal; write it like SIGTERM, TERM or 15")


def _check_mount(mount: Mount) -> None:
    if mount.kind is not MountKind.VOLUME and (mount.no_copy or mount.labels):
        option = "volume-nocopy" if mount.no_copy else "volume-label"
        raise refuse("mount", mount.target, f"has {option} but is no volume; use type=volume")
    if mount.tmpfs is not None and mount.kind is not MountKind.TMPFS:
        raise refuse("mount", mount.target, "has tmpfs options but is no tmpfs; use type=tmpfs")
    if mount.tmpfs is not None and mount.tmpfs.size_bytes < 0:
        raise refuse("tmpfs-size", mount.tmpfs.size_bytes, "is negative")
    if mount.tmpfs is not None and not 0 <= mount.tmpfs.mode <= 0o7777:
        raise refuse("tmpfs-mode", oct(mount.tmpfs.mode), "is not a permission mode; write it like 1770")
    if mount.propagation and (mount.kind is not MountKind.BIND or mount.propagation not in _PROPAGATIONS):
        words = ", ".join(sorted(_PROPAGATIONS))
        raise refuse("bind-propagation", mount.propagation, f"is not one of {words}, for type=bind")
    check_labels("volume-label", mount.labels)
