"""Containers by conmon and an OCI runtime (runc or crun), without a daemon.

How a container comes to be, and where to look:

1. `preparation.py` makes its directory under `STATE/containers` (`bundle.py` names the files), mounts the
   overlay of its image layers (`mounts.py`), prepares volumes (`volumes.py`), looks its user up inside the
   image (`users.py`) and writes the OCI runtime specification (`spec.py`, with `seccomp.py` and `cgroups.py`).
2. `io/conmon.py` starts conmon, which runs `runc create` and stays behind as the parent of the container: it
   writes the log, notices OOM kills and keeps the exit code while no agent is there.
3. `io/execution.py` runs commands (health checks) in a running container, each in a cgroup of its own, so that
   nothing of one is left when it is over, has taken too long, or its agent has been killed; `io/felling.py` ends
   them children first, so that no zombies are left either. `complaints.py` reads what a failing runtime says.
4. `driver.py` is the runtime: it starts, signals and watches containers through pidfds, and takes them over
   after an agent's restart from the records it left (`bundle.Record`).

Rules inside. Every step may be the last one before a kill -9, so `remove` works from any half-made state,
and what is recorded is recorded before it matters. Pids are never trusted without the process's start time
and the boot they were written in. Nothing under a container's root is opened by plain path: `inside.py`
resolves as the container would, so that an image's symbolic link cannot point the agent at the host's
files. Host facts (which runtime, which cgroup layout, which limits) are probed once (`host.py`) and are
data from there on, so the specification is a pure function.
"""
