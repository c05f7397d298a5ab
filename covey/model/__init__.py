"""The vocabulary: what people ask for, what is, and what managers tell agents.

Specs are what people ask for and are never rewritten by Covey. Objects are what managers keep: each has
an `id`, a `meta` with the store index of its last change, and a status apart from its spec. Everything
is a frozen `msgspec.Struct`; a change makes a new one with `msgspec.structs.replace`. Field names are the
protobuf field names in `proto/covey/v1`, so that one generic codec (`covey.wire.codec`) serves all.

Every version of a service's whole spec is a `Revision`, stored once and never changed. A task holds only
the ids of its service and revision, and its slot or node.

What both sides must read alike is here, too, as pure functions: `constraint`, `generic` (resources that Covey
knows nothing of), `template` and `expansion` (texts of a container that are filled in for each task), `difference`.
"""
