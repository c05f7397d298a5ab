"""Noticing that a container has ended, and learning how, whether or not this process started it.

The kernel says when (a pidfd of the container's first process becomes readable), conmon says how (it reaps
the process and writes the code to a file). If conmon was killed nobody knows the code; that is said, not
guessed.
"""

import asyncio
import os

from agent.runtime.oci.bundle import Bundle, Phase, Record
from agent.runtime.oci.cgroups import location, oom_kills
from agent.runtime.oci.host import Host, process_start
from agent.runtime.seam import Exit
from covey import limits
from covey.io.process import pin, readable

_POLL_S = 0.002
_POLL_S_MAX = 0.05


def open_process(pid: int, start: int, boot_matches: bool) -> int:
    """A pidfd of the process recorded as `pid`, or -1 if it has ended (its pid may be another's by now)."""
    if not boot_matches or pid <= 0:
        return -1
    try:
        fd = pin(pid)
    except ProcessLookupError:
        return -1
    # Looked at after the pidfd holds it: what it is now, it stays.
    if process_start(pid) != start:
        os.close(fd)
        return -1
    return fd


async def container_exit(bundle: Bundle, record: Record, pidfd: int, host: Host) -> Exit:
    """Wait for the process behind `pidfd` (-1: it has ended), then for its exit code; closes `pidfd`."""
    same_boot = record.boot_id == host.boot_id
    try:
        if pidfd >= 0:
            await readable(pidfd)
    finally:
        if pidfd >= 0:
            os.close(pidfd)
    code = await _exit_code(bundle, record, same_boot)
    if code is None:
        return Exit(None, reason=_why_unknown(record, same_boot))
    cgroup = location(record.cgroup)
    oom_killed = code != 0 and (bundle.oom.exists() or oom_kills(host.trees, cgroup) > 0)
    reason = "killed by the kernel: the container used all the memory it may" if oom_killed else ""
    return Exit(code, oom_killed, reason)


async def _exit_code(bundle: Bundle, record: Record, same_boot: bool) -> int | None:
    """The code in conmon's file, waiting for it only while conmon lives."""
    clock = asyncio.get_running_loop()
    deadline = clock.time() + limits.container_exit_record_ms / 1000
    pause = _POLL_S
    while True:
        # Asked before the file is read: conmon writes it before it ends.
        alive = (
            same_boot and record.conmon_pid > 0 and process_start(record.conmon_pid) == record.conmon_start
        )
        code = bundle.read_exit_code()
        if code is not None or not alive or clock.time() > deadline:
            return code
        await asyncio.sleep(pause)
        pause = min(pause * 2, _POLL_S_MAX)


def _why_unknown(record: Record, same_boot: bool) -> str:
    if record.phase is Phase.CREATING:
        return "the agent was stopped while creating it"
    if not same_boot:
        return "the node restarted while it ran; its exit code is unknown"
    return "its monitor (conmon) was killed or did not write it down in time, so its exit code is unknown"
