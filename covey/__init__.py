"""What every part of Covey shares, and what people import.

Covey schedules containers across hosts and joins them by overlay networks. Four kinds of programs make
it up: the `covey` command, one `coveyd` per host, and the manager and agent that coveyd supervises. They
meet here and nowhere else: managers and agents never import each other.

* `covey.model`: the vocabulary. Frozen structs for what people ask for (specs), what is (objects and
  their status), and what managers tell agents (assignments and network tables).
* `covey.wire`: the model on the wire. One codec maps structs to the protobuf messages in `covey.v1` by
  field name; channels and servers carry the TLS rules.
* `covey.identity`: certificates, tokens and the roles they prove.
* `covey.machine`: the shape of everything that decides: an event in, effects out, no clock and no dice.
* `covey.io`: the few things several programs do to the world (namespaces, registries, files).
* `covey.client` and `covey.cli`: the asynchronous API client, and the command built on it.

`covey.v1` is generated from `proto/`; it is committed and checked for drift.
"""
