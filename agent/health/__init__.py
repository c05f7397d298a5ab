"""Whether containers are well: when to ask, and what the answers mean.

A container may have a check: a command that is run inside it now and then. Code 0 means that it is well. The rules
are Docker's, so that an image's HEALTHCHECK means what its author meant:

* `check`: what is asked and how often, out of the service's spec and the image, field by field.
* `monitor`: one container, as a machine: STARTING until a check passes, UNHEALTHY after so many failures in a
  row, of which those within the start period do not count before a check has passed.
* `checks`: all containers of the node: which is asked next, and how many at once.

Rules inside. Nothing here runs anything or reads a clock: a `Probe` goes out, a `Probed` comes back, and time is
an argument. An answer that says nothing of the container (this host could not run the check) changes no state, but
is told in the task's status when there is no other for a while. When an agent takes containers over, their first
checks are spread over an interval by their ids, so that five hundred of them are not asked in the same second.
"""
