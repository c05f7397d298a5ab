"""Where a manager's log is kept, and what depends on that: who the managers are, and how one becomes one of them.

`open_kept` gives a `Keeping`: the log for the store, and beside it what the rest of a manager needs to know. Embedded,
managers keep the log together by Raft (`raft` in `driver`): the members' addresses are the managers', members ask to
be let in, and a leader that stops hands over. Kept elsewhere, the managers are the nodes whose role that is.

Nothing here decides: `manager.founding` says how a manager begins, `manager.roles` who is a member.
"""

from .driver import Keeping as Keeping
from .driver import open_kept as open_kept
from .elsewhere import Elsewhere as Elsewhere
