"""Raft: how managers agree on one log, so that no single machine's death matters.

    replica = Raft(stored, dice)                  # the core: a machine without clock, dice, loop or socket
    replica.tick() / step(message) / propose(datas) / read(key) / change(...) / transfer(to)
    while replica.has_ready():
        ready = replica.ready()                   # do what it says, in the order its docstring gives
        replica.advance()

`entry`, `messages` and `ready` are the vocabulary; `seam` says what the driver needs of disk and network.
"""
