"""What is done with the store beside its own loop.

`aside` runs work on a copy of what the store holds in another thread, one piece at a time, so that a plan or an
explanation of a large cluster holds up neither heartbeats nor writes. What it hands out is a `Tables` that nobody
else has; the store itself is never touched from another thread.
"""
