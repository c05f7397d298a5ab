"""Who is who: keys, certificates and join tokens. Pure but for the operating system's dice in new keys.

Every node has a key (EC P-256) that never leaves it and a certificate from the cluster's own root. The
certificate says all that the other side needs: the node's id (CN), its cluster (O) and its role (OU). A
manager's certificate also carries the DNS name `manager.covey.internal`, which everybody who calls a
manager demands, and may be shown by a server; a worker's may not.

* `certificates`: the root, signing requests, node certificates, and reading them.
* `tokens`: the join tokens, `COVEY-1-<digest of the root>-<secret>`.
* `store`: the three files of a node, `STATE/identity/{key.pem,root.pem,certificate.pem}`. The certificate is
  written last and its presence is what makes a host a member; anything less is a join that did not finish.

Times come in as UTC nanoseconds; nothing here reads a clock.
"""

from .certificates import (
    MANAGER_NAME,
    Identity,
    PeerCertificate,
    RootAuthority,
    create_request,
    create_root,
    new_key,
    node_id_of,
    read_peer,
    sign_request,
)
from .store import NodeIdentity
from .tokens import JoinToken, make_token, parse_token, root_digest

__all__ = [
    "MANAGER_NAME",
    "Identity",
    "JoinToken",
    "NodeIdentity",
    "PeerCertificate",
    "RootAuthority",
    "create_request",
    "create_root",
    "make_token",
    "new_key",
    "node_id_of",
    "parse_token",
    "read_peer",
    "root_digest",
    "sign_request",
]
