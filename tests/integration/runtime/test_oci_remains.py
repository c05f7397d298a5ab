"""What containers leave on a host is found and removed, and nothing of those that live is."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from agent.audit.driver import Auditor
from agent.audit.known import known
from agent.dns.fake import FakeNames
from agent.images.fake import FakeImages
from agent.network.fake import FakeNetworks
from agent.runtime.oci import cgroups
from agent.runtime.oci.mounts import mount, unmount
from agent.tasks.lifecycle import Box, Goal
from agent.tasks.record import Record
from covey.errors import Unavailable
from covey.model.audit import Finding
from covey.model.objects import Task, TaskStatus
from covey.model.states import TaskState
from devcluster.images.layout import Entry
from tests.support.container_bed import ContainerBed

pytestmark = pytest.mark.root

GONE = "gone0gone0gone0gone0gone0"
KEPT = "kept0kept0kept0kept0kept0"


def kinds(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return sorted((each.kind, each.place.rpartition("/")[2]) for each in findings)


def test_leftovers_are_found_and_removed(bed: ContainerBed) -> None:
    def is_known(id: str) -> bool:
        return id in ("lives", KEPT)

    async def work() -> None:
        await bed.start_agent()
        await bed.runtime.create(bed.container("lives", "sleep", "600"))
        await bed.runtime.start("lives")
        clean = await bed.runtime.audit(is_known)
        assert clean.findings == ()
        assert clean.compared > 0

        state, run = bed.directory / "state" / "containers", bed.directory / "run" / "runtime"
        for id in (GONE, KEPT):
            (state / id / "rootfs").mkdir(parents=True)
            mount("none", state / id / "rootfs", "tmpfs")
            (run / id).mkdir()
        tree = cgroups.tree_of_execs(bed.host.trees)
        for path in (f"{bed.cgroup}/{GONE}", f"{bed.cgroup}/{KEPT}", f"{bed.cgroup}/lives/covey-exec-1-1"):
            cgroups.make(tree, path)
        try:
            found = await bed.runtime.audit(is_known)
            assert kinds(found.findings) == [
                ("cgroup", GONE),
                ("container", GONE),
                ("container", GONE),
                ("exec", "lives"),
                ("mount", GONE),
            ]
            assert (await bed.runtime.audit(is_known)).findings == found.findings, "looking changes nothing"
            await bed.runtime.clear(is_known)
            assert (await bed.runtime.audit(is_known)).findings == ()
            assert not (state / GONE).exists()
            assert (state / KEPT / "rootfs").is_mount(), "of a task that may just be starting, nothing"
            assert (await bed.runtime.exec("lives", ("true",), 10)).code == 0
        finally:
            unmount(state / KEPT / "rootfs")

    asyncio.run(work())


def test_one_that_resists_protects_no_other(bed: ContainerBed) -> None:
    first = GONE.replace("g", "a")

    async def work() -> None:
        await bed.start_agent()
        state = bed.directory / "state" / "containers"
        for id in (first, GONE):
            (state / id / "upper").mkdir(parents=True)
        mount("none", state / first / "upper", "tmpfs")
        try:
            with pytest.raises(Unavailable, match=f"container {first} cannot be removed"):
                await bed.runtime.clear(lambda _id: False)
            assert not (state / GONE).exists()
        finally:
            unmount(state / first / "upper")
        await bed.runtime.clear(lambda _id: False)
        assert not (state / first).exists()

    asyncio.run(work())


def test_what_was_made_since_it_was_seen_is_left_alone(bed: ContainerBed) -> None:
    """A task may come while there is much to clear away before its container's turn."""

    async def work() -> None:
        await bed.start_agent()
        state, tree = bed.directory / "state" / "containers", cgroups.tree_of_execs(bed.host.trees)
        (state / GONE / "rootfs").mkdir(parents=True)
        mount("none", state / GONE / "rootfs", "tmpfs")
        (Path(tree.mount) / bed.cgroup.lstrip("/") / GONE).mkdir(parents=True)
        looks: list[str] = []

        def is_known(id: str) -> bool:
            looks.append(id)
            return len(looks) > 2  # once for its cgroup, once for all else: so much is asked in one look

        try:
            await bed.runtime.clear(is_known)
            assert set(looks) == {GONE}
            assert (state / GONE / "rootfs").is_mount()
            assert cgroups.children(tree, bed.cgroup, GONE) == [f"{bed.cgroup}/{GONE}"]
        finally:
            await bed.runtime.clear(lambda _id: False)
        assert (await bed.runtime.audit(lambda _id: False)).findings == ()

    asyncio.run(work())


def test_of_a_container_that_was_made_anew_nothing_is_unmounted(bed: ContainerBed) -> None:
    async def work() -> None:
        await bed.start_agent()
        await bed.runtime.create(bed.container("one", "true"))
        await bed.runtime.start("one")
        await bed.runtime.wait("one")
        rootfs = bed.file("one", "rootfs")
        while rootfs.is_mount():
            await asyncio.sleep(0.01)
        mount("none", rootfs, "tmpfs")
        again: list[bool] = []

        def is_known(id: str) -> bool:  # asked of the stranger before the mount's turn
            assert id == GONE
            again.append(True)
            return False

        (rootfs.parents[1] / GONE).mkdir()
        clearing = asyncio.create_task(bed.runtime.clear(is_known))
        while not again:
            await asyncio.sleep(0)
        unmount(rootfs)
        await bed.runtime.remove("one")
        await bed.runtime.create(bed.container("one", "sleep", "600"))
        await clearing
        assert rootfs.is_mount()
        await bed.runtime.start("one")
        assert (await bed.runtime.exec("one", ("true",), 10)).code == 0

    asyncio.run(work())


def test_processes_of_nobody_are_told_and_left_alone(bed: ContainerBed) -> None:
    async def work() -> None:
        await bed.start_agent()
        sleeping = await asyncio.create_subprocess_exec("sleep", "600")
        try:
            cgroups.join((cgroups.tree_of_execs(bed.host.trees),), f"{bed.cgroup}/{GONE}", sleeping.pid)
            await bed.runtime.clear(lambda _id: False)
            (found,) = (await bed.runtime.audit(lambda _id: False)).findings
            assert found.kind == "cgroup"
            assert f"1 processes run in it (such as {sleeping.pid})" in found.words
            assert sleeping.returncode is None
        finally:
            sleeping.kill()
            await sleeping.wait()

    asyncio.run(work())


def test_cgroups_of_others_are_not_taken_for_containers(bed: ContainerBed) -> None:
    """The parent may be shared: another engine's ids are longer, and a part of one is no id of ours."""

    async def work() -> None:
        await bed.start_agent()
        tree, path = cgroups.tree_of_execs(bed.host.trees), f"{bed.cgroup}/docker-{'0a' * 32}.scope"
        (Path(tree.mount) / path.lstrip("/")).mkdir(parents=True)
        try:
            assert (await bed.runtime.audit(lambda _id: False)).findings == ()
            await bed.runtime.clear(lambda _id: False)
            assert cgroups.children(tree, bed.cgroup, "docker-") == [path]
        finally:
            cgroups.remove((tree,), path)

    asyncio.run(work())


def test_a_layer_that_is_gone_is_told_and_left(bed: ContainerBed) -> None:
    """Somebody has cleared the image store by hand: only another container can have those files."""

    async def work() -> None:
        await bed.start_agent()
        bed.add_layer(Entry("data/kept", data=b"x"))
        await bed.runtime.create(bed.container("lives", "sleep", "600"))
        await bed.runtime.start("lives")
        assert (await bed.runtime.audit(lambda _id: True)).findings == ()
        layer = bed.layers[0]
        shutil.rmtree(layer)
        for _ in range(2):
            (found,) = (await bed.runtime.audit(lambda _id: True)).findings
            assert (found.kind, found.place) == ("image", "lives")
            assert f"layer {layer} of its image is gone: replace the task" in found.words
            await bed.runtime.clear(lambda _id: True)

    asyncio.run(work())


def test_a_file_system_that_is_mounted_twice_is_told_and_left(bed: ContainerBed) -> None:
    """Which of the two its processes see is not for an audit to say."""

    async def work() -> None:
        await bed.start_agent()
        await bed.runtime.create(bed.container("lives", "sleep", "600"))
        await bed.runtime.start("lives")
        mount("none", bed.file("lives", "rootfs"), "tmpfs")
        try:
            for _ in range(2):
                (found,) = (await bed.runtime.audit(lambda _id: True)).findings
                assert (found.kind, found.place) == ("mount", "lives")
                assert "is mounted 2 times" in found.words
                await bed.runtime.clear(lambda _id: True)
        finally:
            unmount(bed.file("lives", "rootfs"))
        assert (await bed.runtime.audit(lambda _id: True)).findings == ()

    asyncio.run(work())


def node_of(bed: ContainerBed, *records: Record) -> Auditor:
    """The audits of a node that has these tasks; all but its containers is a fake."""
    made = Auditor(
        bed.runtime, FakeImages(anything=True), FakeNetworks(), FakeNames(), lambda: known(records)
    )
    made.settle_ms = 0
    return made


def test_containers_of_nobody_and_containers_that_are_gone(bed: ContainerBed) -> None:
    async def work() -> None:
        await bed.start_agent()
        for id in ("mine", "stray", "lost"):
            await bed.runtime.create(bed.container(id, "sleep", "600"))
            await bed.runtime.start(id)
        pid = bed.file("stray", "pid").read_text()
        await bed.runtime.remove("lost")  # behind its task's back
        running = [
            Record(Task(id=id), Goal.RUN, TaskStatus(state=TaskState.RUNNING), box=Box.RUNNING)
            for id in ("mine", "lost")
        ]
        auditor = node_of(bed, *running)
        found = (await auditor.audit()).findings
        assert [(each.place, each.words) for each in found] == [
            ("stray", "belongs to no task of this node"),
            ("lost", "is gone, and its task does not know it"),
        ]
        assert (await auditor.audit()).findings == found, "looking changes nothing"
        mended = await auditor.audit(repair=True)
        assert [(each.place, each.repaired) for each in mended.findings] == [("stray", True), ("lost", False)]
        assert [each.id for each in await bed.runtime.list()] == ["mine"]
        assert not os.path.exists(f"/proc/{pid}")  # noqa: ASYNC240

    asyncio.run(work())


def test_a_file_system_that_is_not_mounted_is_told(bed: ContainerBed) -> None:
    async def work() -> None:
        await bed.start_agent()
        await bed.runtime.create(bed.container("lives", "sleep", "600"))
        await bed.runtime.start("lives")
        unmount(bed.file("lives", "rootfs"))
        (found,) = (await bed.runtime.audit(lambda _id: True)).findings
        assert (found.kind, found.place) == ("mount", "lives")

    asyncio.run(work())
