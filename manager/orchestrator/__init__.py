"""The orchestrator: which tasks a service should have, and in which order they come and go.

A service asks for places: numbered slots if it is replicated, nodes if it is global. In each place one
task at a time is meant to run; a restart, a move or an update is a new task in the same place. The
orchestrator compares, for every service of which something changed, its places with its tasks and writes
what is missing into a draft: new tasks, and higher desired states. Nothing else than the leader's machine
(`manager.leader`) calls it, and nothing here waits, reads a clock or rolls its own dice.

    orchestrator = Orchestrator(store, dice)
    orchestrator.observe(change)                              # of every commit: marks what must be looked at
    orchestrator.plan(draft, now_ms, now_ns, objects_max)     # looks at it, and writes into the draft
    orchestrator.wake_at_ms                                   # when to plan again if nothing happens before

Each idea has a file: `places` (tasks by place, and which of them count), `replicated` and `everywhere`
(which places there should be), `lost` (nodes that took their tasks with them), `restart` (whether a task
that ended is followed by another), `start` (when a prepared task may run), `rollout` (replacing the tasks
of an old revision, a few at a time), `verdict` (how a rollout ends, pauses or turns back), `reaper` (what is
forgotten), `deletion` (services and networks that go), `revisions` (versions of a service's spec); `turn` is
one planning pass as all of them see it, `memory` what is not in the store.

The rules inside:

* A desired state only rises: READY, RUNNING, SHUTDOWN, REMOVE. A task that left its place does not return.
* A place has at most one task that is meant to run, but for an update that starts first and stops second.
* A replacement is written with desired state READY, so that its image is there in time, and raised to
  RUNNING once its delay is over and its predecessors have ended (or a minute has passed).
* What matters is in the store. Memory holds only timers and what a rollout has seen so far; a new leader
  starts without it, waits delays anew, and goes on.
"""
