"""What a Raft member keeps on disk, in STATE/manager: `key`, `log.db`, `snapshots/`.

`disk.py` puts it behind the seam (`SqliteDisk.open`), with one thread that alone touches the log: what waits
while that thread syncs goes into the next transaction together, so that one fsync carries many writes.
`journal.py` is the log itself, a sqlite file with the entries and what a member must never forget;
`snapshots.py` the snapshot files; `keys.py` the key both are encrypted with; `upgrade.py` reads what the
version with one manager wrote; `recovery.py` makes a member that lost its majority the only one.

What durability rests on, and why each setting is there:

* WAL with `synchronous=FULL`: every commit is fsynced before it returns. `NORMAL` would not be.
* `locking_mode=EXCLUSIVE`: no shared-memory file, and a second manager on the same state is refused; so is it
  by a lock on the directory, before anything in it is touched.
* `wal_autocheckpoint=0`: sqlite ignores errors of its automatic checkpoints; ours are not ignored.
* After a failed fsync the kernel may have dropped the pages and report success next time, so the disk
  stops for good, and only reading it anew tells what is there.
* New files count only once their directory is fsynced, and so are the directories we make.
* Entries, hard state and where the log ends are sealed (AES-256-GCM): whatever cannot be opened again is
  damaged, and is named. sqlite's pages have no checksums of their own.

What happens to be on the disk after a crash: every write that was acknowledged, and of those in flight the
first few or none, each whole. An installed snapshot counts from the transaction that empties the log; the
file, durable before it, gets its name after it, at the next start if need be.
"""
