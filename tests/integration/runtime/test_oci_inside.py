"""What a container finds inside: its user, limits, files, mounts and nothing of the host's."""

import asyncio
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agent.runtime.oci.inside import read_inside
from agent.runtime.seam import Exit, LogLimits
from covey import limits
from covey.errors import InvalidArgument, Unavailable
from covey.model.specs import Mount, Resources, TmpfsOptions, Ulimit
from covey.model.states import MountKind
from devcluster.images.layout import directory, symlink, text
from tests.support.container_bed import ContainerBed

pytestmark = pytest.mark.root


def said(bed: ContainerBed, script: str, *, code: int = 0, name: str = "a", **settings: Any) -> list[str]:
    """Run `sh -c script` to its end; returns the lines it wrote to stdout."""

    async def main() -> tuple[Exit, str]:
        await bed.runtime.open()
        await bed.runtime.create(bed.container(name, "sh", "-c", script, **settings))
        await bed.runtime.start(name)
        async with asyncio.timeout(30):
            end = await bed.runtime.wait(name)
        log = bed.runtime.log_path(name).read_text()
        await bed.runtime.remove(name)
        await bed.runtime.close()
        return end, log

    end, log = asyncio.run(main())
    lines = [line.split(" ", 3) for line in log.splitlines()]
    assert end.code == code, log
    return [fields[3] for fields in lines if fields[1] == "stdout"]


def refused(bed: ContainerBed, *args: str, **settings: Any) -> str:
    """Create what must be refused; returns the message. Nothing may be left of it."""

    async def main() -> str:
        await bed.runtime.open()
        with pytest.raises(InvalidArgument) as refusal:
            await bed.runtime.create(bed.container("a", *(args or ("true",)), **settings))
        assert await bed.runtime.list() == []
        await bed.runtime.close()
        return str(refusal.value)

    message = asyncio.run(main())
    assert bed.traces() == []
    assert list((bed.directory / "state/containers").iterdir()) == []
    return message


def test_environment_hostname_and_directory(bed: ContainerBed) -> None:
    settings = {"env": ("A=1", "B=x=y", "A=2"), "hostname": "web1", "cwd": "/made/for/it"}
    assert said(bed, "echo $A $B $HOME; hostname; pwd; cat /etc/hostname", **settings) == [
        "2 x=y /root",
        "web1",
        "/made/for/it",
        "web1",
    ]


def test_users_and_groups_of_the_image(bed: ContainerBed) -> None:
    bed.add_layer(
        directory("etc"),
        text("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/data:/bin/sh\n"),
        text("etc/group", "root:x:0:\napp:x:1001:\nmore:x:2000:app\nthird:x:3000:\n"),
    )
    assert said(bed, "id -u; id -g; id -G; echo $HOME", user="app") == ["1000", "1001", "1001 2000", "/data"]
    assert said(bed, "id -u; id -g; id -G", user="app:third", groups=("more", "7")) == [
        "1000",
        "3000",
        "3000 7 2000",
    ]
    assert said(bed, "id -u; id -g", user="4242") == ["4242", "0"]
    assert "'joe'" in refused(bed, user="joe")
    assert "'nope'" in refused(bed, user="app:nope")


def test_a_link_in_the_image_leads_to_the_image_and_not_to_the_host(bed: ContainerBed) -> None:
    bed.add_layer(directory("etc"), symlink("etc/passwd", "/../../../../../../etc/passwd"))
    assert "'root2'" in refused(bed, user="root2")
    bed.add_layer(symlink("out", str(bed.directory)), directory("tmp"))
    assert "/out" in refused(bed, cwd="/out/inside"), "there is no such directory in the image"
    volume = Mount(MountKind.VOLUME, "stolen", "/out")
    (bed.directory / "secret").write_text("of the host")
    with suppress(InvalidArgument, AssertionError):
        said(bed, "cat /out/secret", mounts=(volume,))
    assert list((bed.directory / "state/volumes/stolen/data").iterdir()) == []


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR])
def test_only_a_regular_file_of_an_image_is_opened(tmp_path: Path, kind: int) -> None:
    os.mknod(tmp_path / "passwd", kind | 0o666, os.makedev(10, 255))  # no driver: to open it is an error
    assert read_inside(tmp_path, "/passwd", 100) == ""


def test_limits_are_set_and_hold(bed: ContainerBed) -> None:
    script = """
        m=/sys/fs/cgroup/memory/memory.limit_in_bytes; [ -e $m ] || m=/sys/fs/cgroup/memory.max; cat $m
        p=/sys/fs/cgroup/pids/pids.max; [ -e $p ] || p=/sys/fs/cgroup/pids.max; cat $p
        ulimit -n; ulimit -c
    """
    most = Resources(nano_cpus=500_000_000, memory_bytes=33_554_432, pids=20)
    ulimits = (Ulimit("nofile", 512, 1024), Ulimit("core", 0, 0))
    assert said(bed, script, resources=most, ulimits=ulimits) == ["33554432", "20", "512", "0"]


def test_too_much_memory_is_told_apart(bed: ContainerBed) -> None:
    async def main() -> Exit:
        await bed.runtime.open()
        eats = bed.container(
            "a", "sh", "-c", "head -c 300000000 /dev/zero | tail", resources=Resources(memory_bytes=32 << 20)
        )
        await bed.runtime.create(eats)
        await bed.runtime.start("a")
        async with asyncio.timeout(30):
            end = await bed.runtime.wait("a")
        await bed.restart()
        assert (await bed.runtime.list())[0].exit == end
        await bed.runtime.remove("a")
        await bed.runtime.close()
        return end

    end = asyncio.run(main())
    assert (end.code, end.oom_killed) == (137, True)
    assert "memory" in end.reason


def test_capabilities_seccomp_and_new_privileges(bed: ContainerBed) -> None:
    status = "grep -E '^(CapEff|CapBnd|Seccomp|NoNewPrivs):' /proc/self/status | tr -d '\\t'"
    assert said(bed, status) == [
        "CapEff:00000000a80425fb",
        "CapBnd:00000000a80425fb",
        "NoNewPrivs:0",
        "Seccomp:2",
    ]
    bare = {"capabilities": (), "seccomp_unconfined": True, "no_new_privileges": True}
    assert said(bed, status, **bare) == [
        "CapEff:0000000000000000",
        "CapBnd:0000000000000000",
        "NoNewPrivs:1",
        "Seccomp:0",
    ]
    assert said(bed, status, user="1000")[0] == "CapEff:0000000000000000"
    assert said(bed, "unshare -m true 2>/dev/null || echo denied") == ["denied"]


def test_a_read_only_root_with_room_to_write(bed: ContainerBed) -> None:
    room = Mount(MountKind.TMPFS, "", "/room", tmpfs=TmpfsOptions(size_bytes=1 << 20, mode=0o700))
    script = "touch /x 2>/dev/null || echo closed; touch /room/x && stat -c %a /room; df -k /room | tail -1"
    closed, mode, size = said(bed, script, read_only=True, mounts=(room,))
    assert (closed, mode, size.split()[1]) == ("closed", "700", "1024")


def test_binds(bed: ContainerBed) -> None:
    source = bed.directory / "source"
    source.mkdir()
    (source / "file").write_text("from the host\n")
    mounts = (
        Mount(MountKind.BIND, str(source), "/rw"),
        Mount(MountKind.BIND, str(source), "/ro/deep", read_only=True),
        Mount(MountKind.BIND, str(source / "file"), "/etc/single"),
    )
    script = "cat /ro/deep/file /etc/single; echo new > /rw/new; touch /ro/deep/x 2>/dev/null || echo closed"
    assert said(bed, script, mounts=mounts) == ["from the host", "from the host", "closed"]
    assert (source / "new").read_text() == "new\n"


@pytest.mark.parametrize(
    ("mount", "word"),
    [
        (Mount(MountKind.BIND, "relative", "/x"), "relative"),
        (Mount(MountKind.BIND, "/etc", "x"), "'x'"),
        (Mount(MountKind.BIND, "/etc", "/"), "'/'"),
        (Mount(MountKind.BIND, "/etc", "/a/../b"), "/a/../b"),
        (Mount(MountKind.BIND, "/etc", "/x", propagation="odd"), "odd"),
        (Mount(MountKind.VOLUME, "../../etc", "/x"), "../../etc"),
    ],
)
def test_wrong_mounts_are_refused(bed: ContainerBed, mount: Mount, word: str) -> None:
    assert word in refused(bed, mounts=(mount,))


def test_a_named_volume_gets_the_images_content_once(bed: ContainerBed) -> None:
    bed.add_layer(
        directory("data", 0o750, 1000, 1000), text("data/seed", "1\n"), symlink("data/link", "/etc")
    )
    volume = (Mount(MountKind.VOLUME, "shared", "/data"),)
    assert said(
        bed, "cat /data/seed; readlink /data/link; stat -c %a:%u /data; echo 2 > /data/seed", mounts=volume
    ) == [
        "1",
        "/etc",
        "750:1000",
    ]
    assert said(bed, "cat /data/seed", mounts=volume) == ["2"]
    assert (bed.directory / "state/volumes/shared/data/seed").read_text() == "2\n"
    bare = (Mount(MountKind.VOLUME, "bare", "/data", no_copy=True),)
    assert said(bed, "ls /data", mounts=bare) == []


def test_an_anonymous_volume_goes_with_its_container(bed: ContainerBed) -> None:
    bed.add_layer(directory("data"), text("data/seed", "1\n"))
    script = "cat /data/seed; grep -c ' /data ' /proc/self/mountinfo"
    assert said(bed, script, mounts=(Mount(MountKind.VOLUME, "", "/data"),)) == ["1", "1"]
    assert list((bed.directory / "state/volumes").iterdir()) == []


def test_resolver_and_hosts(bed: ContainerBed) -> None:
    files = {"resolv_conf": "nameserver 127.0.0.11\n", "hosts": "10.0.0.5 other\n"}
    assert said(bed, "cat /etc/resolv.conf /etc/hosts", **files) == [
        "nameserver 127.0.0.11",
        "10.0.0.5 other",
    ]


def test_sysctls(bed: ContainerBed) -> None:
    path = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
    assert said(bed, f"cat {path}", sysctls={"net.ipv4.ip_unprivileged_port_start": "77"}) == ["77"]
    assert "sysctl" in refused(bed, sysctls={"kernel.no_such": "1"})


@pytest.fixture
def netns() -> Iterator[Path]:
    name = f"cvt{os.getpid()}ns"
    os.system(f"ip netns add {name}")
    yield Path("/run/netns") / name
    os.system(f"ip netns del {name}")


def test_a_given_network_namespace_is_joined(bed: ContainerBed, netns: Path) -> None:
    (link,) = said(bed, "readlink /proc/self/ns/net", netns=str(netns))
    assert link == f"net:[{netns.stat().st_ino}]"
    with pytest.raises(Unavailable, match="/no/such/netns"):
        said(bed, "true", netns="/no/such/netns")


def test_a_long_list_of_layers_still_mounts(bed: ContainerBed) -> None:
    for number in range(40):
        bed.add_layer(text(f"layer{number}", f"{number}\n"))
    deep = bed.directory / ("d" * 120)
    deep.mkdir()
    layers = []
    for number, layer in enumerate(bed.layers):
        os.symlink(layer, deep / f"l{number}")
        layers.append(str(deep / f"l{number}"))
    assert said(bed, "cat /layer0 /layer39", layers=tuple(layers)) == ["0", "39"]


def test_the_log_is_rotated_and_no_line_is_lost(bed: ContainerBed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine bounds' worth of lines: were conmon's own bound not reset by each rotation, it would cut in."""
    monkeypatch.setattr(limits, "container_log_check_ms", 20)
    line = "x" * 100
    script = f"""
        i=0
        while [ $i -lt 4000 ]; do
            echo $i {line}; i=$((i+1)); [ $((i % 40)) -ne 0 ] || sleep 0.01
        done
        sleep 3600
    """
    kept: list[int] = []

    def numbers() -> list[int]:
        files = sorted(
            bed.directory.glob("state/containers/a/log.*"), key=lambda p: int(p.suffix[1:] or 0), reverse=True
        )
        entries = [entry.split(" ", 3) for p in files for entry in p.read_text().splitlines()]
        whole = "".join(rest + ("\n" if tag == "F" else "") for _, _, tag, rest in entries)
        return [int(each.split(" ")[0]) for each in whole.splitlines()]

    async def main() -> None:
        await bed.runtime.open()
        log = LogLimits(max_bytes=60_000, files=40)
        await bed.runtime.create(bed.container("a", "sh", "-c", script, log=log))
        await bed.runtime.start("a")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and kept[-1:] != [3999]:
            await asyncio.sleep(0.2)
            kept[:] = numbers()
        await asyncio.sleep(0.2)  # no more is written: what is read now stands still
        kept[:] = numbers()
        assert len(list(bed.directory.glob("state/containers/a/log.*"))) > 4
        await bed.runtime.remove("a")
        await bed.runtime.close()

    asyncio.run(main())
    assert kept == list(range(4000))


def test_one_log_that_cannot_be_rotated_stops_no_other(
    bed: ContainerBed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "container_log_check_ms", 20)
    script = "while :; do echo a line of some length; sleep 0.001; done"

    async def main() -> None:
        await bed.runtime.open()
        for name in ("a", "b"):
            log = LogLimits(max_bytes=2_000, files=2)
            await bed.runtime.create(bed.container(name, "sh", "-c", script, log=log))
        bed.file("a", "log.2").mkdir()  # no file can be renamed to this
        for name in ("a", "b"):
            await bed.runtime.start(name)
        await asyncio.sleep(0.5)
        async with asyncio.timeout(30):
            for number in (1, 2):
                while not bed.file("b", f"log.{number}").exists():
                    await asyncio.sleep(0.02)
        assert bed.file("a", "log.2").is_dir()
        for name in ("a", "b"):
            await bed.runtime.remove(name)
        await bed.runtime.close()

    asyncio.run(main())
