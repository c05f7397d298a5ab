"""Who manages: what people want of each node, brought about in the Raft group, and never at quorum's cost.

`Node.spec.role` is the wish and `Node.role` the fact. The leader brings them together, one step at a time:

    wish manager:  Node.role = MANAGER -> its coveyd fetches a manager's certificate and starts the process
                   -> that asks to join (`server`) and becomes a learner -> caught up, it becomes a voter
    wish worker:   the member is removed -> Node.role = WORKER -> coveyd stops the process and forgets its log
                   (a leader that is to go hands leadership over first; the next one removes it)

* `seam`: what is needed of the Raft replica (`Group`); `fake` is the make for tests.
* `quorum`: pure. Who is reachable, and which removals leave a reachable majority.
* `planner`: pure. From the store, the membership and the leader's view of its peers to the next actions, as data.
* `driver`: runs the planner on the leader and does what it says.
* `admission`: pure. Who may join the group, and by which single steps. `server` is the RPC.
* `standing`, `advice`: pure. What `covey cluster status` says, and what it recommends; `server` gathers the facts.

The rules inside: the last voter is never removed; a voter goes only if those that answer are still a majority of
the rest; there is one change of membership at a time, and none while another is not yet committed.
"""
