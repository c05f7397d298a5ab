"""Any manager answers any request: it passes on what only the leader may do, and reads as the leader would.

What a method asks for stands in its `served` (`covey.wire.services`):

* `LEADER`: the manager that leads runs the handler. Another one waits for a leader, at most some seconds (an
  election takes one), and passes the call on to its control port with its own certificate, naming the caller it had.
  The leader judges that caller as if it had come by itself. Answers and errors come back unchanged.
* `READ`: the manager that is asked runs the handler, once it has applied everything acknowledged before the call
  (read-index, thesis 6.4). Callers that say `covey-read: stale` are answered at once, and told how old that may be.
* `ANYWHERE`: the handler runs, whatever this manager knows.

A call is passed on once at most: a manager that gets one passed on and does not lead refuses with `NotLeader`. A
call that was surely not carried out (`NotLeader`, or it was never sent) goes to the next leader, while there is time.
If it was sent and no answer came, it is not sent again: nobody knows whether it was done, and the caller is told so.

* `client`: finds the leader, keeps a channel to it. `server`: wraps handlers. `patience`: how long is waited, and the
  sentence if it was in vain.
"""

from .client import Leader as Leader
from .server import Forwarding as Forwarding
