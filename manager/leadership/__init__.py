"""Leadership as a scope: what only the leader does begins with it, and ends with it at once.

    await while_leading(store, serve)      # serve(standing) runs once for each term this manager leads in

`serve` starts when this manager leads and has applied everything that was committed before: only then does it know
what the last leader knew. It is cancelled the moment the log says that this manager leads no more, be it that another
one does or that no majority answers (check-quorum). So a leader that is cut off decides nothing: what it had in
flight is refused by the log, and nothing new is proposed. Whatever is begun twice must do no harm; nothing of a term
is carried over into the next.

A part that fails because leadership was lost has not failed. One that fails for another reason ends the manager,
which coveyd starts anew.
"""

from .driver import while_leading as while_leading
