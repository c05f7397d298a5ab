"""Raft: how managers agree on one log, so that no single machine's death matters.

    raft = Raft(stored, dice)                     # the core: a machine without clock, dice, loop or socket
    raft.tick() / step(message) / propose(datas) / read(key) / change(membership) / transfer(to)
    while raft.has_ready():
        ready = raft.ready()                      # do what it says, in the order its docstring gives
        raft.advance()

What it promises, and how, is told in `docs/explanation/replication.md`. `entry`, `messages` and `ready` are the
vocabulary; `seam` says what the driver needs of disk and network. In the core each idea has a file:

* `core`: what can be asked of a member, and the `Ready` that comes of it. `validation`: what it refuses to hear.
* `roles`: follower, candidate, leader, the ways between them, and to whom a member listens in each.
* `election`: pre-vote, vote, and when neither is given.
* `replication`: what a leader sends, and what it may call committed; `progress`: how far each member is, and how
  much may be under way to it; `following`: what a follower does with it.
* `membership`: one step at a time, in force once appended. `snapshotting`: for whom the log does not reach back.
* `reads`: linearizable ones without a log entry. `transfer`: handing leadership over.
* `local` is what a member knows of itself in any role, `log` the entries, `outbox` what waits to be said and for
  which write. `invariants` is asked by tests and the simulation after every step.

Two rules make the core quick. Nothing is sent as it arises: messages are made when they are taken, so whatever
came since shares one message per member. And no work is done per entry that can be done per batch: sizes of ranges
are differences, majorities are counted once per acknowledgement.

And one makes it safe: what is said before a write (`Ready.messages`) rests on nothing that the write brings, and
what rests on it (`Ready.replies`: votes, acknowledgements, a candidate's asking for votes) is said after it. A
leader sends entries that it has not written yet, but counts itself only for those that it has.

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
