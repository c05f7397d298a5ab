"""How managers and agents talk: who is alive, what each node shall run, what each network looks like.

Each agent holds one long-lived stream (`proto/covey/v1/dispatcher.proto`). Up it go heartbeats, statuses
and the versions of the tables in force; down go assignments and network tables, whole at first and then
as numbered differences.

* `liveness`: a machine that finds dead nodes by their silence.
* `assignments`: what a node must know to run its tasks, and the difference of two such sets.
* `tables`: the table of a network.
* `past`: the last changes of tables, for agents whose streams broke.
* `dirt`: which nodes and networks a commit touches. `writes`: what is committed of nodes and statuses.
* `withdrawals`: which tasks that are to stop no node sends anything new to any more.
* `session`: what one agent has been told.
* `sessions`: the machine that joins them: commits and agents' messages in, messages and commits out.
* `underlay`: whether nodes can send each other the packets of overlays at all.
* `encoding`: tables as messages, made once for all the nodes they go to.
* `driver`: batches, sends and commits what the machine asks for. `server`: the gRPC side.

Sessions are the leader's: there is a dispatcher while a manager leads, and no longer. Any other manager, and one
that loses the lead, answers with `Redirect`. Every heartbeat is answered (`Alive`), and agents hear what their
node is to be and where the managers are (`Membership`), which they pass on to their coveyd.

Rules inside. A session gets nothing until this manager has applied the newest version the agent has
seen, so that a manager that lags never stops newer tasks. A status is acknowledged only once it is
committed. A node has one live session: the newest ends the one before it. Everything that goes down
carries (epoch, index), and each difference names the version it applies to.
"""
