"""Self-audit: what this node should have against what it has.

Each part of the node reads its own things back and says what is amiss: `Networks.audit` runs the planner that
also builds the networks (each operation it would need is a finding), `Names.audit` asks the DNS server what it
serves, `Runtime.audit` looks for what containers left behind. `known` is what the agent itself knows of its tasks,
`judging` compares that with the containers there are, and puts the parts together. Images that no task uses are
counted, which is no fault.

A node is never at rest. Parts look in their own turn, so that none sees itself half changed; and what is found
counts only if it is found again a moment later.

To repair is to ask each part to make what should be: the network driver reconciles with what it has read back, the
DNS server is told everything anew, leftovers of no task are removed. Nothing of a task that has not ended is
touched. Then all is looked at once more.

`driver` does this when a manager asks, or by `server` root on this host, and now and then by itself; each time the counts
become part of what the node says of itself.
"""
