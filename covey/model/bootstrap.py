"""The first content of a cluster's store, handed from coveyd to the first manager.

`covey init` (a new cluster) or `covey cluster restore` (all objects of a backup) writes it to
`STATE/manager/bootstrap.msgpack` (root's alone: it holds the root's key). A manager that starts and finds the
file writes these objects if its store knows no cluster yet, the cluster last, and removes the file
afterwards; so it may be interrupted anywhere.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from covey.errors import Corrupt
from covey.model.objects import (
    Cluster,
    Endpoint,
    Network,
    Node,
    Object,
    Part,
    Revision,
    Service,
    Task,
)

T = TypeVar("T", bound=Object)


class ClusterBootstrap(Part, frozen=True):
    """The objects every new cluster begins with: itself, its first manager's node, the ingress network."""

    format: int = 1
    cluster: Cluster = Cluster()
    node: Node = Node()
    ingress: Network = Network()

    def objects(self) -> Iterator[Object]:
        """Give all objects, the cluster last."""
        yield from (self.node, self.ingress, self.cluster)


class ClusterContent(Part, frozen=True):
    """Everything a cluster holds. `format` has no default, so that it always stands in the file."""

    format: int
    cluster: Cluster
    nodes: tuple[Node, ...] = ()
    services: tuple[Service, ...] = ()
    revisions: tuple[Revision, ...] = ()
    tasks: tuple[Task, ...] = ()
    networks: tuple[Network, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()

    def objects(self) -> Iterator[Object]:
        """Give all objects, the cluster last."""
        yield from self.nodes
        yield from self.networks
        yield from self.services
        yield from self.revisions
        yield from self.tasks
        yield from self.endpoints
        yield self.cluster


Bootstrap = ClusterBootstrap | ClusterContent
CONTENT_FORMAT = 2


class _Head(Struct):
    format: int = 1


def content_of(cluster: Cluster, objects: Sequence[Object]) -> ClusterContent:
    """Sort objects by kind; any cluster among them gives way to `cluster`."""

    def of(kind: type[T]) -> tuple[T, ...]:
        return tuple(item for item in objects if isinstance(item, kind))

    return ClusterContent(
        format=CONTENT_FORMAT,
        cluster=cluster,
        nodes=of(Node),
        services=of(Service),
        revisions=of(Revision),
        tasks=of(Task),
        networks=of(Network),
        endpoints=of(Endpoint),
    )


def path_in(state_dir: Path) -> Path:
    """Say where the file is."""
    return state_dir / "manager" / "bootstrap.msgpack"


def encode(bootstrap: Bootstrap) -> bytes:
    """Give the file's bytes."""
    return msgspec.msgpack.encode(bootstrap)


def load(path: Path) -> Bootstrap | None:
    """Read the file; None if there is none. Raises `Corrupt` naming it if it cannot be read."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        found = msgspec.msgpack.decode(data, type=_Head).format
        if found == CONTENT_FORMAT:
            return msgspec.msgpack.decode(data, type=ClusterContent)
        if found == 1:
            return msgspec.msgpack.decode(data, type=ClusterBootstrap)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Corrupt(
            f"{path}: not the first content of a cluster ({error}); `covey leave --force`, then init again"
        ) from error
    raise Corrupt(f"{path}: of format {found}, which this version does not know; run the one that wrote it")
