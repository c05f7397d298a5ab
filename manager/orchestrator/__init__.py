"""The orchestrator: which tasks a service should have, and in which order they come and go.

A service asks for places: numbered slots if it is replicated, nodes if it is global. In each place one
task at a time is meant to run, for good or, for a job, to its end; a restart, a move or an update is a new
task in the same place. The orchestrator compares, for every service of which something changed, its places
with its tasks and writes what is missing into a draft: new tasks, and higher desired states. Nothing else
than the leader's machine (`manager.leader`) calls it, and nothing here waits, reads a clock or rolls its own
dice.

    orchestrator = Orchestrator(store, dice)
    orchestrator.observe(change)                              # of every commit: marks what must be looked at
    orchestrator.plan(draft, now_ms, now_ns, objects_max)     # looks at it, and writes into the draft
    orchestrator.wake_at_ms                                   # when to plan again if nothing happens before

Each idea has a file. Which places there should be: `replicated`, `everywhere`, `jobs` (places whose work is
done once), `standstill` (stopped services); `places` are the tasks by place, and which of them count. Why a
task leaves: `lost` (its node took it along), `drained` (its node is to be empty soon), `eviction` (it does
not fit its node any more). What follows it: `restart` (whether there is another), `backoff` (how much later
each time), `start` (when a prepared task may run), `stopping` (how long it waits for those before it).
Updates: `rollout` (replacing the tasks of an old revision, a few at a time), `probation` (which new ones
have failed), `verdict` (how a rollout ends, pauses or turns back), `revisions` (versions of a service's
spec). What goes: `reaper` (history), `deletion` (services and networks). `turn` is one planning pass as all
of them see it, `memory` what is not in the store.

Room for what is to come: another kind of place (a schedule, say) is a file beside `jobs` and a line in
`Orchestrator._tend`; another reason to leave a node (rebalancing, priorities) one beside `eviction`.

The rules inside:

* A desired state only rises: READY, RUNNING (of a job: COMPLETE), SHUTDOWN, REMOVE. A task that left its
  place does not return.
* A place has at most one task that is meant to run, but for an update or a move that starts first and stops
  second.
* A replacement is written with desired state READY, so that its image is there in time, and raised to
  RUNNING once its delay is over and its predecessors have ended (or have had all the time they may take).
* What matters is in the store. Memory holds only timers and what a rollout has seen so far; a new leader
  starts without it, waits delays anew, and goes on.
"""
