"""The log of a cluster's managers, who keep it together: the store's entries within Raft's log.

    log = await open_replicated(disk, transport, node_id=..., address=..., founding=True)

The replica (`manager/raft`) does the work; here its words are put into the store's: members become node ids
and addresses, and of the entries only those with the store's data are handed on. Raft's own stand in between,
so the store's indexes rise with gaps. A leader leads, for the store, once an entry of its own term is
committed: only then does it know everything that was (section 8 of the paper).
"""

from .driver import ReplicatedLog as ReplicatedLog
from .driver import open_replicated as open_replicated
