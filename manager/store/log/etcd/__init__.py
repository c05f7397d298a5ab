"""The log in an etcd cluster that exists already, used as an ordered log and no more.

    log = await open_etcd(access, cluster_id, node_id=..., address=..., founding=True)

Under PREFIX/CLUSTER/ lie (`layout`):

    format                what this is, and of which data key
    head                  the last index, the last whole record, and the term that wrote them
    entry/INDEX           one entry, or a part of one that is too long for one key
    snapshot/INDEX/TERM/N a chunk of a snapshot; snapshots/INDEX, written last, makes it one
    who/leader            who leads; gone with the lease of its holder
    who/managers/NODE     the managers there are, and their addresses; who/alive/NODE goes with its manager's lease

An append is a transaction of etcd: if `head` is what this leader left and `who/leader` is the very key it made, put the
entries and the new head. A deposed leader's key was made at another revision, so it can write nothing, however late
its request arrives. An answer that did not come is found out by sending the same transaction again: it can only
succeed once, and where it does not, it brings back what stands there (`io/tenure`).

Leadership is that key, bound to a lease (`io/session`); the term is the revision it was made at. A holder that hears
no answer stops leading before etcd could end the lease, by its own clock. Managers hear of entries by watching,
from where they last read (`io/reading`); what etcd has forgotten of its history meanwhile is read anew.

Everything of the cluster's is encrypted with a key that etcd never sees, and bound to its place (`sealing`). Who can
write to etcd can still destroy the log, or put it back to an earlier state as a whole.
"""

from .io.log import EtcdLog as EtcdLog
from .io.log import open_etcd as open_etcd
from .io.log import ping as ping
