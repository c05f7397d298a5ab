"""Making a container ready on disk: directories, overlay, volumes, files to bind, specification.

All of it blocks on disk and kernel, so the driver runs it in a thread. Whatever fails, the caller removes
what is there; nothing here cleans up after itself.
"""

import errno
import logging
import os
import re
from pathlib import Path

import msgspec

from agent.runtime.seam import HOST_NETNS, Container
from covey.errors import AlreadyExists, InvalidArgument, Unavailable
from covey.model.specs import Mount, TmpfsOptions
from covey.model.states import MountKind

from .bundle import Bundle, Phase, Record
from .host import Host
from .inside import read_inside
from .mounts import mount_overlay
from .seccomp import PROFILE, profiles
from .spec import BoundMount, clamped, specification
from .users import Identity, resolve
from .volumes import Volumes

_log = logging.getLogger(__name__)
_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_PASSWD_BYTES_MAX = 1024 * 1024
_PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")


class Preparation:
    """Prepares containers of one node. Safe to use from several threads."""

    def __init__(self, host: Host, volumes: Volumes, cgroup_parent: str) -> None:
        self._host = host
        self._volumes = volumes
        self._cgroup_parent = cgroup_parent.rstrip("/")
        self._seccomp = profiles(PROFILE, host.architecture, host.kernel)

    def cgroup(self, container_id: str) -> str:
        """The container's cgroup as the runtime wants it: a path, or slice:prefix:name for systemd."""
        if self.by_systemd:
            return f"{self._cgroup_parent.rpartition('/')[2]}:covey:{container_id}"
        return f"{self._cgroup_parent}/{container_id}"

    @property
    def by_systemd(self) -> bool:
        """Tell whether systemd makes the cgroups: when it runs, and the parent is one of its slices."""
        return self._host.systemd and self._cgroup_parent.endswith(".slice")

    def prepare(self, container: Container, bundle: Bundle) -> Record:
        """Make `bundle` ready for the runtime's `create`; returns the record that stands there now.

        Raises `AlreadyExists`, `InvalidArgument` for what the container's spec has wrong, `Unavailable` for
        what the disk or the kernel refuses.
        """
        _check(container, self._host)
        try:
            return self._prepare(container, bundle)
        except OSError as error:
            remedy = "free some disk space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "see the node"
            raise Unavailable(f"container {container.id} cannot be prepared: {error}; {remedy}") from error

    def _prepare(self, container: Container, bundle: Bundle) -> Record:
        try:
            bundle.directory.mkdir(mode=0o700)
        except FileExistsError:
            raise AlreadyExists(f"container {container.id} exists already; remove it first") from None
        record = Record(
            container.id,
            Phase.CREATING,
            self._host.boot_id,
            self.cgroup(container.id),
            stop_signal=container.stop_signal,
            log_bytes_max=container.log.max_bytes,
            log_files=container.log.files,
        )
        bundle.write_record(record)
        for folder in (bundle.rootfs, bundle.work, bundle.exit_dir):
            folder.mkdir(mode=0o700)
        bundle.upper.mkdir()
        bundle.upper.chmod(0o755)  # the container's own root directory, whatever our umask
        layers = container.layers or (str(bundle.exit_dir),)  # an image without layers is an empty directory
        mount_overlay(layers, bundle.upper, bundle.work, bundle.rootfs)
        identity = self._identity(container, bundle.rootfs)
        spec = specification(
            container,
            self._host,
            rootfs=str(bundle.rootfs),
            cgroup=record.cgroup,
            identity=identity,
            mounts=self._mounts(container, bundle),
            seccomp=None if container.seccomp_unconfined else self._seccomp(container.capabilities),
        )
        bundle.config.write_bytes(msgspec.json.encode(spec))
        for what in clamped(container.ulimits, self._host.rlimit_hard):
            _log.warning("container %s: ulimit %s, the most this host allows", container.id, what)
        return record

    def _identity(self, container: Container, rootfs: Path) -> Identity:
        passwd = read_inside(rootfs, "/etc/passwd", _PASSWD_BYTES_MAX)
        group = read_inside(rootfs, "/etc/group", _PASSWD_BYTES_MAX)
        return resolve(container.user, container.groups, passwd, group)

    def _mounts(self, container: Container, bundle: Bundle) -> list[BoundMount]:
        taken = {mount.target for mount in container.mounts}
        files = {
            "hostname": f"{container.hostname or container.id[:12]}\n",
            "resolv.conf": container.resolv_conf,
            "hosts": container.hosts,
        }
        out: list[BoundMount] = []
        for name, content in files.items():
            target = f"/etc/{name}"
            if content and target not in taken:
                bundle.file(name).write_text(content)
                bundle.file(name).chmod(0o644)
                out.append(BoundMount(target, "bind", str(bundle.file(name)), ("rbind", "rprivate")))
        out += [self._mount(each, number, bundle) for number, each in enumerate(container.mounts)]
        return out

    def _mount(self, mount: Mount, number: int, bundle: Bundle) -> BoundMount:
        access = "ro" if mount.read_only else "rw"
        if mount.kind is MountKind.TMPFS:
            return _tmpfs(mount.target, mount.tmpfs or TmpfsOptions(), access)
        if mount.kind is MountKind.BIND:
            source = mount.source
        elif mount.source:
            copy = not mount.no_copy
            source = str(self._volumes.prepare(mount.source, bundle.rootfs, mount.target, copy=copy))
        else:
            data = bundle.directory / "volumes" / str(number) / "data"
            self._volumes.fill(data, bundle.rootfs, mount.target, copy=not mount.no_copy)
            source = str(data)
        return BoundMount(mount.target, "bind", source, ("rbind", mount.propagation or "rprivate", access))


def _tmpfs(target: str, options: TmpfsOptions, access: str) -> BoundMount:
    settings = ["nosuid", "nodev", "noexec", access, f"mode={options.mode:o}"]
    if options.size_bytes:
        settings.append(f"size={options.size_bytes}")
    return BoundMount(target, "tmpfs", "tmpfs", tuple(settings))


def check_id(container_id: str) -> None:
    """Refuse an id that could not be a directory's and a cgroup's name."""
    if not _ID.fullmatch(container_id):
        raise InvalidArgument(f"container id {container_id!r} must be lower-case letters, digits and '_.-'")


def _check(container: Container, host: Host) -> None:
    """Refuse what cannot work, before anything is made."""
    check_id(container.id)
    if not container.args:
        raise InvalidArgument(
            "neither the service nor the image says what to run; give the service a command"
        )
    if container.init and not host.init:
        raise InvalidArgument(
            "this node has no init to put before the command; install catatonit on it, or leave --init out"
        )
    if not container.cwd.startswith("/"):
        raise InvalidArgument(f"working directory {container.cwd!r} must be absolute")
    if container.netns not in ("", HOST_NETNS) and not os.path.exists(container.netns):
        raise Unavailable(f"network namespace {container.netns} does not exist")
    seen: set[str] = set()
    for mount in container.mounts:
        if not mount.target.startswith("/") or mount.target == "/" or ".." in mount.target.split("/"):
            raise InvalidArgument(f"mount target {mount.target!r} must be an absolute path other than /")
        if mount.target in seen:
            raise InvalidArgument(f"mount target {mount.target!r} is given twice; keep one")
        seen.add(mount.target)
        if mount.propagation and mount.propagation not in _PROPAGATIONS:
            raise InvalidArgument(f"bind propagation {mount.propagation!r} is none of {_PROPAGATIONS}")
        if mount.kind is MountKind.BIND and not mount.source.startswith("/"):
            raise InvalidArgument(f"bind source {mount.source!r} of {mount.target} must be an absolute path")
        if mount.kind is MountKind.BIND and not os.path.exists(mount.source):
            raise InvalidArgument(
                f"bind source {mount.source} of {mount.target} does not exist on this node; create it there, "
                "or constrain the service to nodes that have it"
            )
