"""What a host that restores a backup becomes: the cluster's only manager. Reads the file; writes nothing."""

from pathlib import Path

from msgspec import Struct

from covey.errors import Corrupt, InvalidArgument
from covey.identity import Identity, NodeIdentity, RootAuthority, create_request, node_id_of, sign_request
from covey.model.bootstrap import ClusterContent
from covey.model.states import NodeRole
from manager.backup import archive
from manager.founding.content import restored as content_restored


class Restored(Struct, frozen=True):
    """What the store begins with, and this host's identity, signed by the root in the backup."""

    content: ClusterContent
    identity: NodeIdentity


def restored(path: Path, key_pem: bytes, node_name: str, now_ns: int) -> Restored:
    """Read a backup, and make this host its manager.

    A host with a key of its own from that cluster is the same node again; any other one is a new node. Raises
    `InvalidArgument` if the file is no backup, or not whole.
    """
    try:
        backup = archive.open_archive(path)
        objects = backup.objects()
        cluster = archive.check_content(backup, objects)
    except Corrupt as error:
        raise InvalidArgument(str(error)) from error  # it is the asker's file, and theirs to hear about
    request = create_request(key_pem)
    identity = Identity(node_id_of(request), cluster.id, NodeRole.MANAGER)
    root_pem = cluster.root_ca.certificate_pem.encode()
    root = RootAuthority(root_pem, cluster.root_ca.key_pem.encode())
    certificate = sign_request(root, request, identity, now_ns, cluster.spec.node_certificate_ns)
    return Restored(
        content_restored(cluster, objects, identity.node_id, node_name, now_ns),
        NodeIdentity.of(key_pem, certificate, root_pem),
    )
