"""Running containers: a seam, and the makes behind it.

`seam.py` holds the whole interface: a `Container` says completely what is to run (which image layers, what
argv, which limits), a `Runtime` creates, starts, signals, waits for and removes it. The runtime knows
nothing of services, tasks or networks: a network namespace is a path, an image is a list of directories.

The makes:

- `oci/`: conmon with runc or crun over overlayfs. There is no daemon. A container outlives the agent, and a
  new agent takes it over from the records in `STATE/containers`.
- `fake.py`: containers in memory, with a `FakeHost` that outlives the runtime object, so that an agent's
  restart can be played without a process.
- `faulty.py`: any other make, with calls that fail or hang on demand.

Rules inside. All makes pass one contract test (`tests/support/runtime_contract.py`). What the user did
wrong (a command that is not in the image, a bind source that is not on the host) raises a `Refused`; what
this host cannot do just now (disk full, conmon missing) raises `Unavailable`. `remove` is idempotent and
takes half-made containers too. `exec` leaves nothing behind, whatever the command did and however it ended. An
exit code that nobody saw is `None`, with the reason; it is never guessed.
"""
