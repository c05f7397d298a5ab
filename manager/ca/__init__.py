"""The certificate authority: who may become a node of this cluster, and for how long.

The root's key and the two secrets of the join tokens live in the `Cluster` object, on managers alone.

* `admission`: pure. Which role a token gives, the node object and the identity a request leads to, the
  tokens themselves and their rotation.
* `ratelimit`: pure. How often one address, and all together, may ask on the bootstrap port.
* `server`: the RPCs. `Bootstrap` on its own port for hosts that have no certificate, `NodeCa` on the control
  port for nodes that renew theirs.

The rules inside: a token is compared in constant time, in both roles, whatever the outcome; a refusal is
logged with the address it came from and never with the secret; a node id belongs to a key, so that a host
which asks again after a lost answer is the same node, and asks in vain with another role's token.
"""

from .admission import join_token, rotate_token
from .server import AuthorityServer

__all__ = ["AuthorityServer", "join_token", "rotate_token"]
