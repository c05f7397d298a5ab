"""The leader: the one place where plans are made and committed.

The leader's machine hears of every commit, tells the planners, and a few milliseconds later has them plan:
orchestrator, allocator and scheduler, one after the other on one draft, so that a new service's tasks exist,
have their addresses and have their nodes in one transaction. One transaction is in flight at a time. If it
is refused (something it wrote had changed meanwhile), the planners are told what the store has and plan anew.

    await lead(store, dice)        # until cancelled, or the store stops

A pass costs what has changed, not what there is: each planner marks what must be looked at when it
observes a change, and looks at nothing else. A pass writes a bounded number of objects; what is left over
is planned in the next.

Files: `machine` (when a pass is due, and what becomes of its transaction), `driver` (awaits the store),
`invariants` (what holds in every state of the store; tests check it after every step).

Nobody's heartbeats wait for a pass: the planners take turns with everybody else, and once there are many tasks,
their turns pass in another thread, while the store applies nothing (`driver`).

The rules inside:

* Nothing here outlives its leadership. A new leader observes the whole store once and goes on from there.
* Planners may be called at any moment and any number of times: planning twice what is planned changes
  nothing.
* After a refusal the bound on a pass is halved, so that a busy cluster cannot defeat a large plan for ever.
"""
