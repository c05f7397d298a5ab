"""Tasks of one node: from an assignment to a running container, and to its end.

A task's life is a table (`lifecycle`): given how far it has come, what is wanted of it and what is known
of its container, there is one next step. A step is a new state or one action; an action's result is an
event, upon which the table is asked again. States only rise:

    ACCEPTED -> PREPARING -> READY -> STARTING -> RUNNING -> COMPLETE | FAILED
    before STARTING a failure is REJECTED; a task that is told to end becomes SHUTDOWN

A container with a health check is STARTING until it is healthy; found unhealthy, the task is first reported so, then
stopped, and fails. A running one that is to end first takes leave of those who use it.

* `lifecycle`: the table. `record`: what is known of one task. `machine`: all tasks of the node.
* `orders`: what must be said to the host so that a step is taken. `outcomes`: what is known once it has been.
* `draining`: how a task takes leave: nothing new comes, then what it has ends, or its time is over.
* `assigned`: the assignment set as held here; which networks a task is on, and what its templates come to.
* `slots`: how many actions may be under way at once, and which goes first.
* `container`, `files`: a task's spec and its image's configuration as a runtime's `Container`.
* `restore`: what a new agent makes of what the former one left, on disk and running.
* `tables`: network tables on their way into the kernel and the DNS server, newest first.
* `events`: what happens to the machine, and what it wants done.
* `io/`: the database of assignments and last statuses; carrying actions out.

Rules inside. A container is started at most once: STARTING is on disk before the runtime hears of it, and
a task of which the managers know more than this node does is lost, not new. What cannot be done for now (a
registry that does not answer, a full disk) is tried again, with the reason in the task's status; what can
never be done ends the task. An ended container stays, with its log and what it wrote, but without its
network and unmounted, until the managers drop the task.
"""
