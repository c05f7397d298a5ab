"""How the cluster stands, said by any manager, quorum or not; and what to do about it.

This is what people ask when nothing else answers. So it needs no majority and no linearizable read: a manager
says what it knows itself, asks the leader for its view of the others if there is one, and where there is none asks
each of the others whether it is there at all. Every wait is short.

* `facts`: pure. The managers and how they do, from membership, nodes and a leader's view of its peers.
* `advice`: pure. From the facts to sentences: who is missing, and what to do about it.
* `server`: `Control.GetClusterStatus`.
"""

from .server import StatusServer, ask_by

__all__ = ["StatusServer", "ask_by"]
