"""The log behind the store, a seam: an ordered, durable list of entries, and snapshots of what they led to.

`seam.py` says what every make owes the store, and `tests/unit/store/test_log_contract.py` holds them all to it.
`replicated/` is the one that managers keep together by Raft (`manager/raft`), also where there is only one of
them; `fake.py` keeps it in memory, and tests say who leads; `faulty.py` wraps another make and fails on command.

The store and its log exchange only bytes, indexes, and the word who leads.
"""
