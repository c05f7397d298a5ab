"""Is what a service says of its containers sound in itself?"""

import re
import signal

from covey.model import reference
from covey.model.capability import CAPABILITIES
from covey.model.specs import ContainerSpec, Mount
from covey.model.states import MountKind

from .refusal import check_labels, check_unique, is_address, is_number, is_word, refuse

_VOLUME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_HOSTNAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SYSCTL = re.compile(r"[a-z0-9_-]+(?:[./][a-z0-9_*-]+)+", re.IGNORECASE)
_ULIMITS = frozenset(
    "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()
)
_PROPAGATIONS = frozenset(("private", "rprivate", "shared", "rshared", "slave", "rslave"))


def check_container(container: ContainerSpec) -> None:
    """Check all that an agent would otherwise stumble over only when the task is to start."""
    reference.parse(container.image)
    for variable in container.env:
        if not variable.partition("=")[0]:
            raise refuse("env", variable, "is not NAME=value")
    _check_texts(container)
    digest = container.image_digest
    if digest and not _DIGEST.fullmatch(digest):
        raise refuse("image-digest", digest, "is not sha256: and 64 hexadecimal digits; leave it empty")
    check_labels("container-label", container.labels)
    if container.workdir and not container.workdir.startswith("/"):
        raise refuse("workdir", container.workdir, "is not absolute; begin it with /")
    if container.hostname and (len(container.hostname) > 64 or not _HOSTNAME.fullmatch(container.hostname)):
        raise refuse("hostname", container.hostname, "is not a host name")
    if container.stop_signal:
        _check_signal(container.stop_signal)
    if container.stop_grace_ns < 0:
        raise refuse("stop-grace-period", container.stop_grace_ns, "is negative")
    for mount in container.mounts:
        _check_mount(mount)
    check_unique("mount", [m.target for m in container.mounts], "is mounted on twice; choose another target")
    for field, names in (("cap-add", container.capability_add), ("cap-drop", container.capability_drop)):
        for name in names:
            if name.upper().removeprefix("CAP_") not in CAPABILITIES | {"ALL"}:
                raise refuse(field, name, "is not a capability; see capabilities(7), or use ALL")
    _check_names(container)
    _check_kernel_settings(container)


def _check_texts(container: ContainerSpec) -> None:
    """No program's argument, variable or path can hold a zero byte: it would end there."""
    texts = {
        "entrypoint": container.command,
        "args": container.args,
        "env": container.env,
        "user": (container.user,),
        "group": container.groups,
        "workdir": (container.workdir,),
        "mount": [text for mount in container.mounts for text in (mount.source, mount.target)],
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
    for server in container.dns.nameservers if container.dns else ():
        if not is_address(server):
            raise refuse("dns", server, "is not an IP address")
    for field, words in (
        ("dns-search", container.dns.search if container.dns else ()),
        ("dns-option", container.dns.options if container.dns else ()),
    ):
        for word in words:
            if not is_word(word):
                raise refuse(field, word, "is not one word; a line of /etc/resolv.conf holds several")


def _check_signal(name: str) -> None:
    known = {s.name for s in signal.Signals} | {s.name.removeprefix("SIG") for s in signal.Signals}
    if name.upper() not in known and not (is_number(name) and 0 < int(name) < signal.NSIG):
        raise refuse("stop-signal", name, "is not a signal; write it like SIGTERM, TERM or 15")


def _check_mount(mount: Mount) -> None:
    if not mount.target.startswith("/") or mount.target.rstrip("/") == "":
        raise refuse("mount target", mount.target, "is not an absolute path inside the container")
    match mount.kind:
        case MountKind.BIND if not mount.source.startswith("/"):
            raise refuse(
                "mount source", mount.source, "is not an absolute path; a bind needs one on the node"
            )
        case MountKind.VOLUME if mount.source and not _VOLUME.fullmatch(mount.source):
            raise refuse(
                "mount source", mount.source, "is not a volume's name; for a host path use type=bind"
            )
        case MountKind.TMPFS if mount.source:
            raise refuse("mount source", mount.source, "has no meaning for a tmpfs; leave it out")
        case _:
            pass
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
