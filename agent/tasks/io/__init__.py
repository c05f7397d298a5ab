"""Tasks against the world: keeping what must outlive the agent, and doing what was decided.

* `db`: the agent's database, one transaction per few milliseconds, written by a thread of its own.
* `journal`: network tables in it, whole at first and then as changes.
* `actions`: one coroutine per action of the machine; its end, good or bad, becomes an event.
* `stop`: everything on a node stopped and removed, for a host's shutdown and for leaving a cluster.

Rules inside. What cannot be undone begins only once everything decided before it is on disk. Every failure becomes a
`Failure` that says whether trying again can help; what nobody foresaw is logged with its trace.
"""
