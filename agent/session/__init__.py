"""The agent's session with a manager: one long-lived stream, and what must survive its breaking.

The stream is that of `proto/covey/v1/dispatcher.proto`. The agent speaks first: who it is, and the newest
version of the cluster it has seen. Then assignments and network tables come down, whole at first and as
numbered differences from there on, and statuses go up, in numbered reports.

* `machine`: the session itself, pure. Dials with growing, jittered pauses; registers; goes where it is sent;
  beats, and leaves a manager that does not answer; refuses a
  manager that is behind what was seen, and ends a session whose messages do not fit together.
* `candidates`: which manager to dial next. Only the leader serves agents; the others name it.
* `following`: passing on to coveyd what the managers want this node to be, and where they are.
* `outbox`: the statuses on their way up. The newest of each task counts; what is not acknowledged when a
  session ends is sent again in the next.
* `tables`: the network tables as held here, and how a difference is applied.
* `messages`: what travels, as structs; field for field the messages of the proto.
* `description`: what the node says of itself.
* `client`: the gRPC stream. Translates, decides nothing.

Rules inside. What a manager says is used only if it fits what is held: a difference names the version it
applies to, and one that does not fit means that something was missed, so the session ends and the next one
brings everything anew. While no manager answers, nothing is changed: containers and networks stay as they
are. A status is out of the agent's hands only when a manager has acknowledged it as committed.
"""
