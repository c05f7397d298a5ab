"""What a host remembers of the cluster it is in, beside its certificate: `STATE/node.json`.

`STATE/leaving` marks a leave that has begun. It is written first and removed last.
"""

import shutil
from pathlib import Path

import msgspec

from covey import limits
from covey.errors import Corrupt
from covey.identity import NodeIdentity, store
from covey.io import files
from covey.model import bootstrap
from covey.model.node_config import NodeConfig

from .settings import Settings

_RECORD = "node.json"
_LEAVING = "leaving"
_ASIDE = "manager.removed"  # see manager/founding/aside.py


class Membership(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Addresses settled when the host joined. `managers` are control addresses, `host:port`."""

    format: int = 1
    cluster_id: str = ""
    advertise_address: str = ""
    data_address: str = ""
    managers: tuple[str, ...] = ()
    vxlan_port: int = limits.vxlan_port


def save(state: Path, membership: Membership) -> None:
    """Write the record; before the certificate."""
    files.write_atomic(state / _RECORD, msgspec.json.format(msgspec.json.encode(membership)))


def load(state: Path) -> tuple[Membership, NodeIdentity] | None:
    """Read what the host is a member of; None if it is in no cluster. Raises `Corrupt` naming the file."""
    identity = store.load(identity_dir(state))
    if identity is None:
        return None
    path = state / _RECORD
    try:
        membership = msgspec.json.decode(path.read_bytes(), type=Membership)
    except (FileNotFoundError, msgspec.DecodeError) as error:
        raise Corrupt(
            f"{path}: not what coveyd wrote ({error}); restore it from a backup, or `covey leave --force`"
        ) from error
    if membership.cluster_id != identity.identity.cluster_id:
        raise Corrupt(
            f"{path} is of cluster {membership.cluster_id}, the certificate beside it of "
            f"{identity.identity.cluster_id}; restore both from one backup, or `covey leave --force`"
        )
    return membership, identity


def identity_dir(state: Path) -> Path:
    """Where the key and certificates are."""
    return state / "identity"


def begin_leave(state: Path) -> None:
    """Mark that this host is leaving, durably."""
    files.write_atomic(state / _LEAVING, b"")


def is_leaving(state: Path) -> bool:
    """Tell whether a leave was begun and not finished."""
    return (state / _LEAVING).exists()


def forget(state: Path, run: Path) -> None:
    """Remove all that made this host a node. Images and volumes stay: they are the host's, not the cluster's.

    The tasks must be gone: nothing may be mounted below what is removed here.
    """
    store.forget(identity_dir(state))
    for folder in ("manager", _ASIDE, "agent"):
        shutil.rmtree(state / folder, ignore_errors=True)
    files.remove(bootstrap.path_in(state))
    files.remove(state / _RECORD)
    for name in ("node.json", "manager.sock", "dns.sock"):
        files.remove(run / name)
    files.remove(state / _LEAVING)


def forget_manager(state: Path) -> None:
    """Remove what a manager kept: a worker must not hold the cluster's state and keys. Durable.

    A crash half way leaves a part of it, and a worker's certificate, by which the next start knows to go on.
    """
    for folder in (state / "manager", state / _ASIDE):
        if folder.exists():
            shutil.rmtree(folder)
            files.sync_directory(state)


def node_config(settings: Settings, membership: Membership, identity: NodeIdentity) -> NodeConfig:
    """Put together what the node's processes are told."""
    return NodeConfig(
        state_dir=settings.state_dir,
        run_dir=settings.run_dir,
        node_id=identity.identity.node_id,
        cluster_id=identity.identity.cluster_id,
        role=identity.identity.role,
        node_name=settings.node_name,
        advertise_address=membership.advertise_address,
        data_address=membership.data_address,
        managers=membership.managers,
        vxlan_port=membership.vxlan_port,
        cgroup_parent=settings.cgroup_parent,
        nano_cpus=settings.nano_cpus,
        memory_bytes=settings.memory_bytes,
        resolv_conf=settings.resolv_conf,
        insecure_registries=settings.insecure_registry,
        log_level=settings.log_level,
        generic_resources=settings.generic_resources,
        engine_labels=settings.engine_labels,
    )


def write_config(config: NodeConfig) -> Path:
    """Write `RUN/node.json` and say where it is."""
    path = config.run / "node.json"
    files.write_atomic(path, msgspec.json.format(msgspec.json.encode(config)))
    return path
