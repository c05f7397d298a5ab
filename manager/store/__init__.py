"""The store: the cluster's state in memory, made durable by a log.

`Tables` hold every object by kind and id, with indexes (`view.BY_NAME`, `view.BY_SERVICE` ...). Whoever
wants a change takes a `Draft`, reads and writes it like the store itself (it sees its own writes), and
hands the resulting `Transaction` to `Store.commit`. A transaction is data: the versions it expects and
the objects that result. It becomes one entry of the log; once durable it is applied, and only then is the
caller told. Applying is a pure function of the tables and the entry, so that every manager that applies
the same log holds the same tables: an entry whose expected versions have moved is refused by all alike,
and nothing of it is applied. So many transactions can be in flight, and none needs a lock.

    draft = store.draft()
    service = draft.find(Service, BY_NAME, "web")[0]
    draft.put(replace(service, pending_delete=True))
    await store.commit(draft.transaction())      # Conflict, if the service changed meanwhile

    await store.update(lambda draft: ...)        # the same, reading anew after a conflict

Planners need no log and no loop to be tested: `tables = Tables()`, `draft = Draft(tables)`, and
`tables.commit(draft.transaction())`.

`Store.watch()` gives every later commit, in order and without a gap: read the store in the same breath
(without awaiting in between) and you have a snapshot and everything after it. A watcher that does not keep
up is told so (`Lagged`) and must read anew.

The rules inside:

* Objects are immutable. `meta.version` is the index of the log entry that last wrote the object; a
  transaction that puts or deletes an object names the version it read, 0 for one that must not exist yet.
* The names of services and networks are unique without regard to case, checked when applied. Something
  that is only waiting to go (`pending_delete`) has given its name up and is not found by it.
* Time comes in the entry, from the proposer; applying reads no clock.
* An entry is acknowledged only when it would survive a power loss. If the log fails, the store stops: it
  goes on answering reads, and every write fails with the reason.
* An entry is bounded (`limits.entry_bytes_max`); `pieces.pieces` cuts a larger transaction into sound ones.
* Only the leader commits (`NotLeader` elsewhere), and it decides only once it has applied everything up to
  `standing.since`. Any manager reads; what must be so *now* is read after `Store.barrier()`.
* A manager that was away for long may be given a whole snapshot: it replaces the tables, and watchers are told
  `Lagged`, as if they had not kept up.
* `log/` is the seam. `log/seam.py` says what a log owes the store; `log/replicated` is the managers' own.
* Only `driver.py` awaits; it translates and decides nothing.
"""
