"""The OCI specification is a pure function of what was asked and what the host is."""

import json
from typing import Any

import msgspec
import pytest

from agent.runtime.capabilities import DEFAULT_CAPABILITIES, resolve
from agent.runtime.oci.cgroups import Hierarchy, Layout
from agent.runtime.oci.host import Host, choose_runtime
from agent.runtime.oci.seccomp import Profile, compile_profile
from agent.runtime.oci.spec import BoundMount, clamped, environment, rlimits, specification
from agent.runtime.oci.users import Identity
from agent.runtime.seam import HOST_NETNS, Container
from covey.errors import InvalidArgument, Unavailable
from covey.model.specs import Resources, Ulimit

HOST = Host(
    runtime="/usr/sbin/runc",
    conmon="/usr/bin/conmon",
    trees=(Hierarchy("/sys/fs/cgroup", v2=True),),
    layout=Layout.V2,
    systemd=False,
    architecture="amd64",
    kernel=(6, 1),
    boot_id="boot",
    init="/usr/bin/catatonit",
)
ROOT = Identity(0, 0, (), "/root")


def spec(
    container: Container, host: Host = HOST, who: Identity = ROOT, mounts: tuple[BoundMount, ...] = ()
) -> Any:
    made = specification(
        container, host, rootfs="/r", cgroup="/covey/a", identity=who, mounts=mounts, seccomp=None
    )
    return json.loads(msgspec.json.encode(made))


def made(**settings: Any) -> Container:
    return Container(**{"id": "a" * 25, "layers": ("/l",), "args": ("sh",), **settings})


def test_later_environment_wins_and_the_expected_is_there() -> None:
    container = made(env=("A=1", "PATH=/mine", "A=2", "EMPTY="), hostname="h")
    assert environment(container, ROOT) == ["PATH=/mine", "HOSTNAME=h", "A=2", "EMPTY=", "HOME=/root"]


def test_the_hostname_defaults_to_the_start_of_the_id() -> None:
    assert spec(made())["hostname"] == "a" * 12


def test_resources_in_the_kernels_units() -> None:
    resources = Resources(nano_cpus=1_500_000_000, memory_bytes=1 << 30, pids=7)
    out = spec(made(resources=resources))["linux"]["resources"]
    assert out["cpu"] == {"quota": 150_000, "period": 100_000}
    assert out["memory"] == {"limit": 1 << 30, "swap": 1 << 30}
    assert out["pids"] == {"limit": 7}
    plain = msgspec.structs.replace(HOST, swap_limit=False)
    assert spec(made(resources=resources), plain)["linux"]["resources"]["memory"] == {"limit": 1 << 30}
    tiny = spec(made(resources=Resources(nano_cpus=1_000_000)))["linux"]["resources"]["cpu"]
    assert tiny["quota"] == 1_000, "the kernel takes no less"
    assert set(spec(made())["linux"]["resources"]) == {"devices"}


def test_limits_are_clamped_to_what_the_host_allows() -> None:
    hard = {"RLIMIT_NOFILE": 20_000}
    assert rlimits((), hard) == [{"type": "RLIMIT_NOFILE", "soft": 20_000, "hard": 20_000}]
    asked = rlimits((Ulimit("NoFile", 100, 30_000), Ulimit("core", 0, -1)), hard)
    assert asked == [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 20_000},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": (1 << 64) - 1},
    ]
    with pytest.raises(InvalidArgument, match="'files'"):
        rlimits((Ulimit("files", 1, 1),), {})


def test_what_was_clamped_is_said() -> None:
    asked = (Ulimit("nofile", 10, 200), Ulimit("core", -1, -1), Ulimit("nproc", 1, 50))
    assert clamped(asked, {"RLIMIT_NOFILE": 100, "RLIMIT_CORE": 7, "RLIMIT_NPROC": 50}) == [
        "nofile is 100 in place of 200",
        "core is 7 in place of unlimited",
    ]
    assert clamped(asked, {}) == []


def test_the_own_group_is_among_the_groups() -> None:
    user = spec(made(), who=Identity(1000, 1001, (5, 2000)))["process"]["user"]
    assert user == {"uid": 1000, "gid": 1001, "additionalGids": [5, 1001, 2000]}


def test_only_root_starts_with_capabilities() -> None:
    assert set(spec(made())["process"]["capabilities"]) == {"bounding", "effective", "permitted"}
    assert set(spec(made(), who=Identity(7, 7))["process"]["capabilities"]) == {"bounding"}


def test_mounts_come_parents_first() -> None:
    mounts = tuple(BoundMount(d, "bind", "/s", ()) for d in ("/a/b/c", "/a", "/a/b"))
    assert [m["destination"] for m in spec(made(), mounts=mounts)["mounts"]][-3:] == ["/a", "/a/b", "/a/b/c"]


def test_namespaces_by_cgroup_layout() -> None:
    hybrid = msgspec.structs.replace(HOST, layout=Layout.HYBRID)
    kinds = {n["type"]: n.get("path") for n in spec(made(netns="/n"), hybrid)["linux"]["namespaces"]}
    assert kinds == {"network": "/n", "pid": None, "ipc": None, "uts": None, "mount": None}
    assert {"type": "cgroup"} in spec(made())["linux"]["namespaces"]


def test_an_init_is_put_before_the_command() -> None:
    out = spec(made(init=True))
    assert out["process"]["args"] == ["/sbin/docker-init", "--", "sh"]
    assert out["mounts"][-1]["source"] == "/usr/bin/catatonit"


@pytest.mark.parametrize(
    ("layout", "crun", "runc", "chosen"),
    [
        (Layout.V2, "/crun", "/runc", "/crun"),
        (Layout.V2, None, "/runc", "/runc"),
        (Layout.HYBRID, "/crun", "/runc", "/runc"),
        (Layout.V1, "/crun", "/runc", "/runc"),
        (Layout.V1, "/crun", None, "/crun"),
    ],
)
def test_which_runtime(layout: Layout, crun: str | None, runc: str | None, chosen: str) -> None:
    assert choose_runtime(layout, crun, runc) == chosen


def test_crun_alone_cannot_do_hybrid() -> None:
    with pytest.raises(Unavailable, match="runc"):
        choose_runtime(Layout.HYBRID, "/crun", None)


def test_capabilities_are_added_and_dropped_as_docker_does() -> None:
    assert resolve((), ()) == DEFAULT_CAPABILITIES
    assert "CAP_NET_ADMIN" in resolve(("net_admin",), ())
    assert "CAP_KILL" not in resolve((), ("CAP_KILL",))
    assert resolve(("CAP_KILL",), ("ALL",)) == ("CAP_KILL",)
    assert "CAP_SYS_ADMIN" in resolve(("all",), ("KILL",))
    assert "CAP_KILL" not in resolve(("all",), ("KILL",))
    with pytest.raises(InvalidArgument, match="'FLY'"):
        resolve(("FLY",), ())


PROFILE = msgspec.convert(
    {
        "defaultAction": "ERRNO",
        "defaultErrnoRet": 38,
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}
        ],
        "syscalls": [
            {"names": ["read"], "action": "ALLOW", "args": [], "includes": {}, "excludes": {}},
            {"name": "old", "action": "ALLOW"},
            {"names": ["arm"], "action": "ALLOW", "includes": {"arches": ["arm64"]}},
            {"names": ["x"], "action": "ALLOW", "includes": {"arches": ["x32"]}},
            {"names": ["y"], "action": "ALLOW", "includes": {"arches": ["x86"]}},
            {"names": ["new"], "action": "ALLOW", "includes": {"minKernel": "6.2"}},
            {"names": ["admin"], "action": "ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["admin"], "action": "ERRNO", "errnoRet": 1, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        ],
    },
    Profile,
)


def test_the_seccomp_profile_is_decided_for_one_set_of_capabilities() -> None:
    out: Any = compile_profile(PROFILE, ["CAP_KILL"], "amd64", (6, 1))
    assert out["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert out["defaultErrnoRet"] == 38
    assert [(tuple(rule["names"]), rule["action"]) for rule in out["syscalls"]] == [
        (("read",), "ALLOW"),
        (("old",), "ALLOW"),
        (("y",), "ALLOW"),
        (("admin",), "ERRNO"),
    ]
    assert out["syscalls"][-1]["errnoRet"] == 1
    more: Any = compile_profile(PROFILE, ["CAP_SYS_ADMIN"], "amd64", (6, 2))
    assert [rule["names"][0] for rule in more["syscalls"]] == ["read", "old", "y", "new", "admin"]


def test_the_network_namespace_is_joined_fresh_or_the_nodes() -> None:
    def network(netns: str) -> list[dict[str, str]]:
        namespaces = spec(Container(id="c", layers=("/l",), args=("a",), netns=netns))["linux"]["namespaces"]
        return [each for each in namespaces if each["type"] == "network"]

    assert network("/run/netns/t1") == [{"type": "network", "path": "/run/netns/t1"}]
    assert network("") == [{"type": "network"}]
    assert network(HOST_NETNS) == []
