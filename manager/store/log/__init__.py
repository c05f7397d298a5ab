"""The log behind the store, a seam: an ordered, durable list of entries, and snapshots of what they led to.

`seam.py` says what every make owes the store, and `tests/unit/store/test_log_contract.py` holds them all
to it. `io/` keeps the log on one disk (STATE/manager/log.db) for a cluster with one manager; `fake.py`
keeps it in memory; `faulty.py` wraps another make and fails on command. Snapshots are files of their own,
written aside, fsynced and renamed, each with a checksum.

The store and its log exchange only bytes.
"""
