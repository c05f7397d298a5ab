"""What people ask of networks: making, looking at and removing them.

* `validate`: is a spec sound in itself? Pure. What it says of subnets is in `ipam`, of macvlan networks in `macvlan`.
* `settings`: networks that are nothing but settings, and those that take them over.
* `changes`: what a request changes, as functions on a draft, and what only the store knows (overlaps, names, users).
* `truth`: what is true of a network now: which nodes follow which version of its table, what its services send to.
* `server`: the gRPC side.

Networks that every node has of itself (`bridge`, `host`, `none`) are no objects of the store; see
`covey.model.predefined`.
"""

from .changes import create_network as create_network
from .changes import end_removal as end_removal
from .changes import hindrance as hindrance
from .changes import remove_network as remove_network
from .changes import waits_for as waits_for
