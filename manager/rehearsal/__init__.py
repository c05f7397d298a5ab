"""Rehearsals: what would come of a change, found out by letting it happen to a copy.

    rehearsed = await rehearse(store, change, dice)      # driver: of the store as it is now

The change is made to private tables, and the leader's own machine (`manager.leader.machine`), with all its
planners, runs on them. Agents are played: each does at once what is wanted of its tasks. Time is the stage's own and
jumps to the next moment that somebody waits for. When nothing moves any more, what happened to the service's tasks
is told in the order in which it began. So a plan cannot say anything else than what the planners do.

* `stage`: the copy, the machine, the agents and the clock.
* `account`: from what was committed on the stage to steps that people read.
* `driver`: takes the copy, and rehearses in another thread, one at a time, while the manager goes on.

Rules inside. Nothing here can reach the store: a stage is made of copies. It is a forecast and says so: real agents
fail and take time, and other changes may come first. It is bounded in rounds and in time; what it did not come to
is said.
"""
