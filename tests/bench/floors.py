"""What the parts take with nothing else around them: the bare runtime, and the bare network."""

import asyncio
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from covey.io import netns
from covey.model.states import EndpointState
from tests.bench import costs
from tests.support.container_bed import ContainerBed, container_bed
from tests.support.network_bed import NET, Bed


@dataclass(frozen=True)
class Floor:
    """Seconds, and processor seconds, for `count` of something."""

    count: int
    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class NetworkFloor:
    """The network's parts: namespaces alone, and a table put into force in all of them."""

    attach: Floor
    table_ms: float
    interleaved: Floor  # a table after every fifth namespace, as a starting service makes them


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="covey-bench-", dir="/var/lib"))  # overlayfs needs a real disk
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def runtime(count: int) -> Floor:
    """Create and start sleeping containers by the OCI runtime alone, in namespaces made before."""
    with _folder() as folder, container_bed(folder / "bed", f"covey-bench-{os.getpid()}") as bed:
        paths = [folder / "netns" / f"c{number}" for number in range(count)]
        for path in paths:
            netns.create(path)
        try:
            return asyncio.run(_run_containers(bed, paths))
        finally:
            for path in paths:
                netns.delete(path)


async def _run_containers(bed: ContainerBed, paths: list[Path]) -> Floor:
    await bed.runtime.open()

    async def one(path: Path) -> None:
        await bed.runtime.create(bed.container(path.name, "sleep", "1000000", netns=str(path)))
        await bed.runtime.start(path.name)

    began, before = time.monotonic(), _own_cpu_s()
    async with asyncio.TaskGroup() as group:  # the runtime itself lets four at a time go on
        for path in paths:
            group.create_task(one(path))
    wall_s, cpu_s = time.monotonic() - began, _own_cpu_s() - before + costs.cgroup_cpu_s(bed.cgroup[1:])
    for path in paths:
        await bed.runtime.remove(path.name)
    await bed.runtime.close()
    return Floor(len(paths), wall_s, cpu_s)


def _own_cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


@cache
def network(count: int) -> NetworkFloor:
    """Build task namespaces by the network driver alone; then with tables in between."""
    with _folder() as folder:
        attach = _attach(folder / "a", count, tables_every=0)
        interleaved = _attach(folder / "b", count, tables_every=5)
    return NetworkFloor(attach[0], attach[1], interleaved[0])


def _attach(folder: Path, count: int, tables_every: int) -> tuple[Floor, float]:
    bed = Bed(folder, hosts=1)
    folder.mkdir()
    try:
        bed.build()
        host = bed.hosts[0]
        assert host.process is not None
        began, before = time.monotonic(), costs.process_cpu_s(host.process.pid)
        for number in range(1, count + 1):
            name = f"t{number}"
            host.sandboxes[name] = bed.sandbox(host, name, published=False)
            host.ask("attach", sandbox=host.sandboxes[name])
            bed.states[name] = EndpointState.ACTIVE
            if tables_every and number % tables_every == 0:
                host.call("apply", table=bed.table(NET))
        floor = Floor(count, time.monotonic() - began, costs.process_cpu_s(host.process.pid) - before)
        return floor, host.call("apply", table=bed.table(NET))
    finally:
        bed.close()
