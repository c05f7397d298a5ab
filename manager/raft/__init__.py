"""Raft: how managers agree on one log, so that no single machine's death matters.

    replica = Raft(stored, dice)                  # the core: a machine without clock, dice, loop or socket
    replica.tick() / step(message) / propose(datas) / read(key) / change(...) / transfer(to)
    while replica.has_ready():
        ready = replica.ready()                   # do what it says, in the order its docstring gives
        replica.advance()

`entry`, `messages` and `ready` are the vocabulary; `seam` says what the driver needs of disk and network.

A member in motion is a `Replica` (`driver.py`): what happens goes straight into the core, also while the disk
is busy, and one loop (`loop/`) carries out what the core wants, one `Ready` after the other. So all who propose
while a write is under way share the next one, heartbeats wait for no disk, and a leader's entries are on their
way to the others while it writes them itself.

Members talk over one gRPC stream per pair, between manager certificates (`client.py`, `server.py`):

* The smaller id dials; the other one dials too if nobody came for a while, for it may have moved, or may have
  been removed and not know it.
* Each side introduces itself first (`introductions.py`). A foreign cluster's member, another format, a member id
  that is not this certificate's or is taken by a copy of the same state: refused, with a sentence.
* Nothing waits for a stream: what does not fit is dropped (`sending.py`), and the core says it again. Heartbeats
  overtake entries. Snapshots take a connection of their own.
* A broken stream is a hint that the member may be dead, and starts an election at once; pre-vote keeps a leader
  that lives. A silent stream, as after a cut cable, is given up after `limits.raft_silence_ms_max` and made anew.

What a disk that is full, fails or stalls does to a member stands in `loop/`.
"""
