"""The control API: what people and tools ask of a cluster, checked and turned into transactions.

* `validate`: is a spec sound in itself? Its `containers`, `resources` and `rollouts` are files of their own. Every
  `refusal` names the field, the value and the remedy. `feasible`: could it ever be, on the nodes that there are?
* `lookup`: which object is meant by an id, a prefix of one, or a name?
* `networks`, `nodes`: what a request changes, as functions on a draft. `services` are a package of their own.
* `server`: the gRPC side, on the control port and on the local socket.

Nothing is stored before everything has been checked. What cannot be checked here (is the image there? is
the port free on that host?) shows in the task's status.
"""
