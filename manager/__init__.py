"""The manager: it holds the desired state, decides what must happen, and tells the agents.

A manager is one process, started by coveyd on each node whose role is manager. People and agents talk to
it over gRPC; what it knows stands in the store, and everything it does begins and ends there:

* `manager.control` checks a request and commits what was asked for (a service and its revision).
* `manager.store` makes the commit durable, applies it to the tables, and tells the watchers.
* `manager.leader` sees the change and runs the planners on a draft of the store: `manager.orchestrator`
  creates and ends tasks, `manager.allocator` gives addresses and ports, `manager.scheduler` picks nodes.
  What they drafted is committed as one transaction.
* `manager.dispatcher` sees that change, tells each agent the difference, and commits the statuses that
  come back.
* `manager.ca` signs certificates; `manager.logs` carries containers' output to whoever reads it.

One of several: `manager.keeping` opens the log that managers share (`manager.raft`, or an etcd cluster),
`manager.founding` says how a manager begins, `manager.leadership` what begins and ends with leading,
`manager.forwarding` what happens to requests on managers that do not lead, `manager.roles` who is a member.

Planners and machines here are plain synchronous code: time and randomness are arguments, and nothing of
theirs awaits. Only `driver.py`, `server.py`, `client.py`, `io/` and `__main__.py` do. Only the leader
decides and serves agents; a follower holds the whole store, answers reads, and passes the rest on.
"""
