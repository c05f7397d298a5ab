"""The first content of a cluster's store, handed from coveyd to the first manager.

`covey init` writes it to `STATE/manager/bootstrap.msgpack` (root's alone: it holds the root's key). A
manager that starts and finds the file commits these objects in one transaction if its store knows no
cluster yet, and removes the file afterwards; so it may be interrupted anywhere.
"""

from pathlib import Path

import msgspec

from covey.errors import Corrupt
from covey.model.objects import Cluster, Network, Node, Part


class ClusterBootstrap(Part, frozen=True):
    """The objects every cluster begins with: itself, its first manager's node, the ingress network."""

    format: int = 1
    cluster: Cluster = Cluster()
    node: Node = Node()
    ingress: Network = Network()


def path_in(state_dir: Path) -> Path:
    """Say where the file is."""
    return state_dir / "manager" / "bootstrap.msgpack"


def encode(bootstrap: ClusterBootstrap) -> bytes:
    """Give the file's bytes."""
    return msgspec.msgpack.encode(bootstrap)


def load(path: Path) -> ClusterBootstrap | None:
    """Read the file; None if there is none. Raises `Corrupt` naming it if it cannot be read."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.msgpack.decode(data, type=ClusterBootstrap)
    except msgspec.DecodeError as error:
        raise Corrupt(
            f"{path}: not the first content of a cluster ({error}); `covey leave --force`, then init again"
        ) from error
