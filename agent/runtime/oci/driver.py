"""The OCI runtime behind the seam: creates, starts, watches, takes over and removes containers."""

import asyncio
import logging
import os
import shutil
import signal as signals
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from agent.audit.look import Look
from agent.runtime.seam import Container, ExecResult, Exit, Observed
from covey import limits
from covey.errors import CoveyError, FailedPrecondition, NotFound, Unavailable
from covey.io.process import Finished, run

from . import cgroups, logs, remains
from .bundle import Bundle, Phase, Record
from .entry import Entry
from .host import Host, probe, process_start
from .io.clearing import all_of
from .io.conmon import conmon_argv, explain, launch
from .io.execution import Executor
from .io.logkeeping import keep_logs
from .io.watch import container_exit, open_process
from .mounts import unmount
from .preparation import Preparation, check_id
from .volumes import Volumes

_R = TypeVar("_R")
_log = logging.getLogger(__name__)
_CLEAN_UP_TRIES = 50
_CLEAN_UP_PAUSE_S = 0.02
_KILLED = 128 + signals.SIGKILL
_EXIT_NOTICE_S = 0.1


class _Status(msgspec.Struct):
    """What `runc state` says, as far as it is needed."""

    status: str


class OciRuntime:
    """The runtime seam over conmon and runc or crun.

    `state_dir` keeps what must outlive the agent, `run_dir` the runtime's own short-lived state; all cgroups are
    made below `cgroup_parent`. One object at a time may work on a `state_dir`.
    """

    def __init__(self, state_dir: Path, run_dir: Path, cgroup_parent: str, host: Host | None = None) -> None:
        self._host = host or probe()
        self._containers = state_dir / "containers"
        self._runtime_root = run_dir / "runtime"
        self._volumes_dir = state_dir / "volumes"
        self._cgroup_parent = cgroup_parent
        self._preparation = Preparation(self._host, Volumes(self._volumes_dir), cgroup_parent)
        self._entries: dict[str, Entry] = {}
        self._places = asyncio.Semaphore(limits.container_starts_at_once)
        self._log_keeper: asyncio.Task[None] | None = None
        self._conmon_moves = False
        self._under_way: set[asyncio.Task[Any]] = set()
        argv = (self._host.runtime, *self._runtime_options())
        self._executor = Executor(self._host, argv, self._to_the_end)

    @property
    def host(self) -> Host:
        """What was found out about this host."""
        return self._host

    async def open(self) -> None:
        """Make the directories, and take over what a former agent left."""
        for folder in (self._containers, self._runtime_root, self._volumes_dir):
            folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        # What we start inherits our cgroup; it is moved only if ours is not the node's.
        inside = any(cgroups.is_below(path, self._cgroup_parent) for path in cgroups.own())
        self._conmon_moves = not inside and not self._preparation.by_systemd
        _log.info("%s", self._host.describe())
        for directory in sorted(each for each in self._containers.iterdir() if each.is_dir()):
            await self._take_over(Bundle(directory))
        self._log_keeper = asyncio.create_task(keep_logs(self._running))

    async def close(self) -> None:
        """Let go of everything, what is under way excepted; containers and their conmons go on."""
        while self._under_way:
            await asyncio.wait(self._under_way)
        tasks: list[asyncio.Future[Any] | None] = [self._log_keeper]
        tasks += [entry.exit for entry in self._entries.values()]
        pending = [task for task in tasks if task is not None and not task.done()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for entry in self._entries.values():
            entry.close_pidfd()
        self._entries.clear()

    async def create(self, container: Container) -> int:
        """See the seam. Takes about 50 ms, most of it the runtime's own."""
        making = self._to_the_end(self._create(container, self._bundle(container.id)))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            # A thread or a runtime that is under way cannot be called back: let it finish, then undo it.
            await asyncio.wait([making])
            if not making.cancelled() and making.exception() is None:
                await self.remove(container.id)
            raise

    async def _create(self, container: Container, bundle: Bundle) -> int:
        async with self._places:
            record = await asyncio.to_thread(self._prepare, container, bundle)
            try:
                argv = conmon_argv(
                    self._host, bundle, record, self._runtime_options(), self._preparation.by_systemd
                )
                pid = await launch(argv, bundle.directory, self._place_conmon)
                conmon_pid = bundle.read_pid(bundle.conmon_pid)
                record = msgspec.structs.replace(
                    record,
                    phase=Phase.CREATED,
                    pid=pid,
                    pid_start=process_start(pid),
                    conmon_pid=conmon_pid,
                    conmon_start=process_start(conmon_pid),
                )
                bundle.write_record(record)
            except (CoveyError, OSError) as error:
                await self._clean_up(bundle)
                if isinstance(error, CoveyError):
                    raise
                raise Unavailable(f"container {container.id} cannot be created: {error}") from error
        self._watch(bundle, record)
        logs.hold(bundle, record)
        return pid

    async def start(self, container_id: str) -> None:
        """See the seam."""
        await asyncio.shield(self._to_the_end(self._start(self._get(container_id))))

    async def _start(self, entry: Entry) -> None:
        container_id = entry.record.id
        if entry.record.phase is not Phase.CREATED:
            raise FailedPrecondition(
                f"container {container_id} is {entry.record.phase}: it cannot be started"
            )
        async with self._places:
            self._record_phase(entry, Phase.STARTING)
            done = await self._runtime("start", container_id)
            if done.code != 0:
                self._record_phase(entry, Phase.CREATED)
                raise explain(container_id, done.complaint)
            self._record_phase(entry, Phase.RUNNING)

    async def signal(self, container_id: str, signal: int) -> None:
        """See the seam. By pidfd: no process is started, and no other process can be hit."""
        entry = self._get(container_id)
        if entry.pidfd >= 0:
            with suppress(ProcessLookupError):
                signals.pidfd_send_signal(entry.pidfd, signal)

    async def wait(self, container_id: str) -> Exit:
        """See the seam."""
        entry = self._get(container_id)
        assert entry.exit is not None, "every known container is watched"
        return await asyncio.shield(entry.exit)

    async def exec(self, container_id: str, argv: Sequence[str], timeout_s: float) -> ExecResult:
        """See the seam. Takes about 30 ms more than the command."""
        entry = self._get(container_id)
        assert entry.exit is not None, "every known container is watched"
        if entry.record.phase is not Phase.RUNNING or entry.pidfd < 0:
            raise FailedPrecondition(f"container {container_id} does not run: nothing can be run in it")
        cgroup = cgroups.location(entry.record.cgroup)
        result = await self._executor.run(entry.bundle, cgroup, argv, timeout_s)
        if result.code in (None, _KILLED):  # perhaps because the container's end is under way
            await asyncio.wait([entry.exit], timeout=_EXIT_NOTICE_S)
        if entry.pidfd < 0:
            raise FailedPrecondition(f"container {container_id} has ended meanwhile")
        return result

    async def remove(self, container_id: str) -> None:
        """See the seam. Works from whatever a crash left."""
        await asyncio.shield(self._to_the_end(self._remove(container_id)))

    async def _remove(self, container_id: str) -> None:
        bundle = self._bundle(container_id)
        entry = self._entries.get(container_id)
        if entry is None and not bundle.directory.exists():
            return
        if entry is not None and entry.exit is not None and not entry.exit.done():
            await self.signal(container_id, signals.SIGKILL)
            await asyncio.wait([entry.exit], timeout=limits.container_create_timeout_s)
        async with self._places:
            await self._clean_up(bundle)
        if entry is not None and entry.unmounting is not None:
            await asyncio.wait([entry.unmounting])  # or it could hit the next container of this name
        if entry is not None:
            if entry.exit is not None:
                entry.exit.cancel()
            entry.close_pidfd()
        self._entries.pop(container_id, None)

    async def list(self) -> Sequence[Observed]:
        """See the seam."""
        return [entry.observed() for _, entry in sorted(self._entries.items())]

    def log_path(self, container_id: str) -> Path:
        """See the seam."""
        return self._bundle(container_id).log

    def _to_the_end(self, work: Coroutine[Any, Any, _R]) -> "asyncio.Task[_R]":
        """Run `work` so that whoever waits for it may give up without stopping it halfway."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    def _bundle(self, container_id: str) -> Bundle:
        """The container's directory; an id is part of a path, so it is checked each time."""
        check_id(container_id)
        return Bundle(self._containers / container_id)

    def _get(self, container_id: str) -> Entry:
        entry = self._entries.get(container_id)
        if entry is None:
            raise NotFound(f"container {container_id} does not exist on this node")
        return entry

    def _prepare(self, container: Container, bundle: Bundle) -> Record:
        """In a thread: what the container needs on disk, or nothing of it."""
        existed = bundle.directory.exists()
        try:
            return self._preparation.prepare(container, bundle)
        except BaseException:
            if not existed:
                with suppress(FileNotFoundError):
                    unmount(bundle.rootfs)
                    shutil.rmtree(bundle.directory)
            raise

    def _runtime_options(self) -> Sequence[str]:
        options = ["--root", str(self._runtime_root)]
        return [*options, "--systemd-cgroup"] if self._preparation.by_systemd else options

    async def _runtime(self, *arguments: str) -> Finished:
        argv = [self._host.runtime, *self._runtime_options(), *arguments]
        return await run(argv, timeout_s=limits.container_create_timeout_s)

    def _place_conmon(self, pid: int) -> None:
        if self._conmon_moves:
            cgroups.join(self._host.trees, f"{self._cgroup_parent.rstrip('/')}/conmon", pid)

    def _record_phase(self, entry: Entry, phase: Phase) -> None:
        entry.record = msgspec.structs.replace(entry.record, phase=phase)
        entry.bundle.write_record(entry.record)

    def _watch(self, bundle: Bundle, record: Record) -> None:
        """Know the container from now on; its end will be noticed."""
        same_boot = record.boot_id == self._host.boot_id
        pidfd = open_process(record.pid, record.pid_start, same_boot)
        entry = Entry(bundle, record, pidfd)
        watched = os.dup(pidfd) if pidfd >= 0 else -1
        entry.exit = asyncio.create_task(container_exit(bundle, record, watched, self._host))
        entry.exit.add_done_callback(lambda done: self._ended(entry, done))
        self._entries[record.id] = entry

    def _ended(self, entry: Entry, exit: "asyncio.Task[Exit]") -> None:
        entry.close_pidfd()
        if not exit.cancelled():
            entry.unmounting = self._to_the_end(self._unmount(entry.bundle))

    async def _unmount(self, bundle: Bundle) -> None:
        """Let go of the image's layers: of an ended container only the files that it wrote are still of use."""
        try:
            await asyncio.to_thread(unmount, bundle.rootfs)
        except OSError as error:
            _log.warning("the file system of ended container %s stays mounted: %s", bundle.id, error)

    async def _take_over(self, bundle: Bundle) -> None:
        """Know a container of a former agent. One whose start was interrupted is asked for its state."""
        record = bundle.read_record() or Record(bundle.id, Phase.CREATING, "", "")
        if record.phase is Phase.STARTING:
            done = await self._runtime("state", bundle.id)
            created = done.code == 0 and msgspec.json.decode(done.stdout, type=_Status).status == "created"
            record = msgspec.structs.replace(record, phase=Phase.CREATED if created else Phase.RUNNING)
            bundle.write_record(record)
        self._watch(bundle, record)
        entry = self._entries[record.id]
        assert entry.exit is not None
        try:
            await self._executor.sweep(bundle, cgroups.location(record.cgroup))
        except Unavailable as error:  # tried again with the next command
            _log.warning("container %s: %s", bundle.id, error)
        if entry.pidfd < 0:  # ended meanwhile: have its exit ready for the first `list`
            await asyncio.wait([entry.exit])

    async def _clean_up(self, bundle: Bundle) -> None:
        """Remove every trace, in whatever state. The runtime's own `delete` first: it knows what it made."""
        if (self._runtime_root / bundle.id).exists():
            await self._runtime("delete", "--force", bundle.id)
        record = bundle.read_record()
        place = cgroups.location(record.cgroup) if record and record.cgroup else ""
        left: Sequence[str] = ()
        for _ in range(_CLEAN_UP_TRIES):
            left = await asyncio.to_thread(self._remove_remains, bundle, place)
            if not left:
                return
            await asyncio.sleep(_CLEAN_UP_PAUSE_S)
        raise Unavailable(
            f"container {bundle.id} cannot be removed: {', '.join(left)} is still in use; try again"
        )

    def _remove_remains(self, bundle: Bundle, cgroup: str) -> Sequence[str]:
        """In a thread: kill what is left, remove cgroups, mount and files; returns what resists still."""
        if cgroup and cgroups.kill(self._host.trees, cgroup):
            return [cgroup]
        left = cgroups.remove(self._host.trees, cgroup) if cgroup else []
        if left:
            return left
        unmount(bundle.rootfs)
        shutil.rmtree(self._runtime_root / bundle.id, ignore_errors=True)
        try:
            shutil.rmtree(bundle.directory)
        except FileNotFoundError:
            pass
        except OSError as error:
            return [str(error)]
        return []

    async def audit(self, is_known: Callable[[str], bool]) -> Look:
        """See the seam."""
        return await asyncio.to_thread(remains.look, self._ground, self._living(), is_known)

    async def clear(self, is_known: Callable[[str], bool]) -> None:
        """See the seam."""
        found = await asyncio.to_thread(remains.left, self._ground, self._living(), is_known)
        await all_of(
            [
                *(partial(self._clear_stranger, id, is_known) for id in sorted(found.ids)),
                *(partial(self._clear_mount, id) for id in sorted(found.mounted)),
                partial(self._clear_cgroups, found.cgroups, is_known),
                *(partial(self._executor.sweep, *each) for each in self._where_commands_run()),
            ]
        )

    async def _clear_stranger(self, id: str, is_known: Callable[[str], bool]) -> None:
        async with self._places:
            if id not in self._entries and not is_known(id):  # it may have been made since it was seen
                await asyncio.shield(self._to_the_end(self._clean_up(self._bundle(id))))

    async def _clear_mount(self, id: str) -> None:
        entry = self._entries.get(id)
        if entry is not None and self._lives(entry).mounted is False:  # and not another one of this name
            entry.unmounting = self._to_the_end(self._unmount(entry.bundle))
            await asyncio.shield(entry.unmounting)

    async def _clear_cgroups(self, paths: frozenset[str], is_known: Callable[[str], bool]) -> None:
        again = await asyncio.to_thread(remains.left, self._ground, self._living(), is_known)
        for path in sorted(paths & again.cgroups):
            await asyncio.to_thread(cgroups.remove, self._host.trees, path)

    def _where_commands_run(self) -> Sequence[tuple[Bundle, str]]:
        return [(bundle, cgroups.location(record.cgroup)) for bundle, record in self._running()]

    def _running(self) -> Sequence[tuple[Bundle, Record]]:
        return [(entry.bundle, entry.record) for entry in self._entries.values() if entry.pidfd >= 0]

    @property
    def _ground(self) -> remains.Ground:
        parent = cgroups.parent_of(self._preparation.cgroup("id"))
        executor = self._executor
        return remains.Ground(
            self._containers, self._runtime_root, parent, self._host.trees, executor.tree, executor.PREFIX
        )

    def _living(self) -> dict[str, remains.Living]:
        return {id: self._lives(entry) for id, entry in self._entries.items()}

    def _lives(self, entry: Entry) -> remains.Living:
        cgroup = cgroups.location(entry.record.cgroup)
        mounted = True if entry.pidfd >= 0 else None
        if entry.unmounting is not None and entry.unmounting.done():
            mounted = False
        return remains.Living(cgroup, mounted, *self._executor.of_container(cgroup))
