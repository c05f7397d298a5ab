"""The log on one disk: sqlite for entries, plain files for snapshots.

`journal.py` is the sqlite file and knows nothing of threads; `snapshots.py` the snapshot files; `sqlite.py`
puts both behind the seam, with one thread that alone touches the journal. What waits while that thread
syncs goes into the next transaction together: one fsync carries many appends.

What durability rests on, and why each setting is there:

* WAL with `synchronous=FULL`: every commit is fsynced before it returns. `NORMAL` would not be.
* `locking_mode=EXCLUSIVE`: no shared-memory file, and a second manager on the same state is refused.
* `wal_autocheckpoint=0`: sqlite ignores errors of its automatic checkpoints; ours are not ignored.
* After a failed fsync the kernel may have dropped the pages and report success next time, so the log
  stops for good, and only reading it anew tells what is there.
* New files count only once their directory is fsynced, and so are the directories we make.
"""
