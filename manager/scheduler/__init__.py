"""The scheduler: on which node each pending task runs, and, if on none, why.

Tasks of one service and revision are alike, so they are placed as a group: each filter is asked once per
node how many such tasks it would take there, and the tasks are poured over the nodes that have room, so that
every node ends up with as equal a number of the service's tasks as its room allows.

    scheduler = Scheduler(store)
    scheduler.observe(change)                      # of every commit, and of what a draft holds before planning
    scheduler.plan(draft, now_ms, now_ns, objects_max, blocked)

Each idea has a file: `demand` (what a task needs of a node), `fleet` (what every node has and what of it is
claimed), `group` (tasks that are alike), `filters` (which nodes may have a task: one small class each),
`preferences` (which of them are filled first: one small class each), `failures` (where tasks keep failing),
`pour` (spreading a number over nodes), `spread` (over label values: a tree), `seats` (all of that, for one
group), `judging` (the same for people who ask why), `explanation` (why a task is pending).

The rules inside:

* A filter is one class and one line in `filters.FILTERS`: `set` takes up what a group asks, `room` says how
  many of its tasks a node takes, `explain` says in words why some nodes took none, and what would help.
* Among nodes with room: first the tier that `preferences.PREFERENCES` put a node in, then the spread over labels,
  then the fewest tasks of the service, then the fewest tasks in all.
* A task that stays pending carries the explanation in `status.err`. It is tried again when something has
  become free or a node has changed, not otherwise.
* A global service's task comes with its node and is only checked.
* The fleet is a cache of the store, which observing twice does not change.

Room for what is to come: devices and volumes' topology are filters, with what they claim in `demand` and `fleet`;
bin-packing and affinities are preferences; priorities decide in which order `Scheduler.plan` takes the groups, and
whom one of them may push out is for `manager.orchestrator.eviction`; rebalancing is the orchestrator's.
"""
