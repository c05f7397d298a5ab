"""A bed for real containers: layers unpacked from our own layout entries, a cgroup and directories of its own."""

import asyncio
import os
import shutil
import signal
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.runtime.oci import cgroups
from agent.runtime.oci.driver import OciRuntime
from agent.runtime.oci.host import Host, probe
from agent.runtime.seam import Container
from covey.model.specs import Mount
from devcluster.images.layout import Entry, busybox_layer


def unpack(entries: Sequence[Entry], directory: Path) -> str:
    """Put a layer's entries on disk the way overlayfs wants them; returns the directory."""
    directory.mkdir(parents=True)
    for entry in entries:
        path = directory / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name.startswith(".wh."):
            os.mknod(path.with_name(path.name.removeprefix(".wh.")), 0o020000, os.makedev(0, 0))
        elif entry.kind == tarfile.DIRTYPE:
            path.mkdir(exist_ok=True)
            path.chmod(entry.mode)
            os.chown(path, entry.uid, entry.gid)
        elif entry.kind == tarfile.SYMTYPE:
            path.symlink_to(entry.link)
        else:
            path.write_bytes(entry.data)
            path.chmod(entry.mode)
            os.chown(path, entry.uid, entry.gid)
    return str(directory)


class ContainerBed:
    """One test's node: `state`, `run` and `cgroup` are nobody else's."""

    def __init__(self, directory: Path, host: Host, name: str) -> None:
        self.directory = directory
        self.host = host
        self.cgroup = f"/{name}"
        self.layers: tuple[str, ...] = (unpack(busybox_layer(), directory / "layer"),)
        self.runtime = self.new_runtime()

    def new_runtime(self) -> OciRuntime:
        return OciRuntime(self.directory / "state", self.directory / "run", self.cgroup, self.host)

    def container(self, name: str, *args: str, mounts: tuple[Mount, ...] = (), **settings: Any) -> Container:
        layers = settings.pop("layers", self.layers)
        return Container(id=name, layers=layers, args=args, mounts=mounts, **settings)

    def add_layer(self, *entries: Entry) -> None:
        """Put a layer on top of the image."""
        self.layers = (unpack(entries, self.directory / f"layer{len(self.layers)}"), *self.layers)

    async def restart(self) -> None:
        await self.stop_agent()
        await self.start_agent()

    async def stop_agent(self) -> None:
        await self.runtime.close()

    async def start_agent(self) -> None:
        self.runtime = self.new_runtime()
        await self.runtime.open()

    def file(self, name: str, which: str) -> Path:
        return self.directory / "state" / "containers" / name / which

    async def settled(self, name: str) -> None:
        pid = self.file(name, "pid").read_text()
        async with asyncio.timeout(30):
            while Path(f"/proc/{pid}/exe").readlink() != Path("/bin/busybox"):  # noqa: ASYNC240
                await asyncio.sleep(0.005)

    def kill(self, name: str) -> None:
        os.kill(int(self.file(name, "pid").read_text()), signal.SIGKILL)

    def processes(self, name: str) -> int:
        return len(cgroups.processes(self.host.trees, f"{self.cgroup}/{name}"))

    def adopted(self, name: str) -> list[str]:
        """The children of the container's first process, zombies too: it waits for none of them."""
        pid = self.file(name, "pid").read_text().strip()
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()

    def traces(self) -> list[str]:
        """What this bed has left on the host: mounts, cgroups of containers, processes."""
        mine = f"{self.directory}/"
        mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if mine in line]
        groups = [
            str(each)
            for tree in self.host.trees
            for each in (Path(tree.mount) / self.cgroup.lstrip("/")).glob("*/")
            if each.name != "conmon"
        ]
        return mounts + groups + [str(pid) for pid in cgroups.processes(self.host.trees, self.cgroup)]

    def clear(self) -> None:
        """Remove everything, whatever state the test left it in."""
        while cgroups.kill(self.host.trees, self.cgroup):
            pass
        for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
            target = line.split()[4]
            if target.startswith(f"{self.directory}/"):
                os.system(f"umount -l '{target}'")
        cgroups.remove(self.host.trees, self.cgroup)
        shutil.rmtree(self.directory, ignore_errors=True)


@contextmanager
def container_bed(directory: Path, name: str) -> Iterator[ContainerBed]:
    bed = ContainerBed(directory, probe(), name)
    try:
        yield bed
    finally:
        bed.clear()
