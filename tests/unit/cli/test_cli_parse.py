from typing import Any

import pytest

from covey.cli.parse import amounts, attachments, environment, mounts, others, pairs, ports
from covey.errors import InvalidArgument
from covey.model.specs import (
    GenericResource,
    Mount,
    NetworkAttachmentSpec,
    PortConfig,
    RegistryAuth,
    TmpfsOptions,
    Ulimit,
)
from covey.model.states import MeshMode, MountKind, Protocol, PublishMode

S = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("5s", 5 * S),
        ("1m30s", 90 * S),
        ("1.5h", 5400 * S),
        ("0", 0),
        ("250ms", S // 4),
        ("1us", 1000),
        (".5s", S // 2),
    ],
)
def test_durations(text: str, ns: int) -> None:
    assert amounts.duration_ns(text) == ns


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "5s ", "1d", "1h5", "9999999999h", "1..5s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(InvalidArgument, match="is not a duration"):
        amounts.duration_ns(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1024", 1024),
        ("64m", 64 << 20),
        ("64M", 64 << 20),
        ("64MiB", 64 << 20),
        ("64mb", 64 << 20),
        ("1.5g", 3 << 29),
        ("7b", 7),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert amounts.size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "m", "-1m", "64x", "1e3", "64 mi", "99999999p"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InvalidArgument):
        amounts.size_bytes(text)


def test_cpus() -> None:
    assert amounts.nano_cpus("0.5") == S // 2
    assert amounts.nano_cpus("2") == 2 * S
    for text in ("", "x", "-1", "nan", "inf", "0.0000000001", "1e9"):
        with pytest.raises(InvalidArgument):
            amounts.nano_cpus(text)


def port(
    target: int, published: int = 0, protocol: Protocol = Protocol.TCP, host: bool = False, **more: Any
) -> PortConfig:
    mode = PublishMode.HOST if host else PublishMode.INGRESS
    return PortConfig(
        target_port=target, published_port=published, protocol=protocol, publish_mode=mode, **more
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", [port(80)]),
        ("8080:80", [port(80, 8080)]),
        ("127.0.0.1:8080:80", [port(80, 8080, published_address="127.0.0.1")]),
        ("127.0.0.1::80", [port(80, published_address="127.0.0.1")]),
        ("0.0.0.0:8080:80", [port(80, 8080)]),
        (
            "target=80,mesh=local,health-port=8081",
            [port(80, mesh=MeshMode.LOCAL, health_port=8081)],
        ),
        (
            "published-address=192.0.2.1,target=80,mesh=local",
            [port(80, published_address="192.0.2.1", mesh=MeshMode.LOCAL)],
        ),
        ("[2001:DB8:0::1]:8080:80", [port(80, 8080, published_address="2001:db8::1")]),
        ("[::1]::80/udp", [port(80, protocol=Protocol.UDP, published_address="::1")]),
        ("published-address=[::1],target=80", [port(80, published_address="::1")]),
        ("published-address=fd00::1,target=80", [port(80, published_address="fd00::1")]),
        ("53:53/UDP", [port(53, 53, Protocol.UDP)]),
        ("8080-8081:80-81", [port(80, 8080), port(81, 8081)]),
        ("target=80", [port(80)]),
        ("published=8080,target=80,protocol=udp,mode=host", [port(80, 8080, Protocol.UDP, host=True)]),
        ("published=9000-9001,target=1-2", [port(1, 9000), port(2, 9001)]),
    ],
)
def test_published_ports(text: str, expected: list[PortConfig]) -> None:
    assert list(ports.publish(text)) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a published port"),
        ("http", "not a published port"),
        ("0:80", "between 1 and 65535"),
        ("8080:65536", "between 1 and 65535"),
        ("80-70", "in this order"),
        ("localhost:8080:80", "'localhost' is not an address: write it like .* or \\[2001:db8::1\\]:8080:80"),
        ("::1:8080:80", r"brackets are for IPv6 addresses, which need them: write \[::1\]"),
        ("[192.0.2.1]:8080:80", "write 192.0.2.1"),
        ("[::]:8080:80", "every address of IPv6 alone; leave the address out"),
        ("target=80,mesh=local,health-port=1-2", "health-port '1-2' is more than one port"),
        ("target=80,mesh=far", "mesh 'far' is none of preserve, masquerade and local"),
        ("8080:80/sctp", "neither tcp nor udp"),
        ("8080-8082:80-81", "equally long"),
        ("8080-8081:80", "once"),
        ("published=80", "no target"),
        ("target=80,mode=routing", "neither ingress nor host"),
        ("target=80,color=red", "unknown key 'color'"),
        ("target=", "no value"),
        ("target=80-999999999999", "not a port"),
    ],
)
def test_what_is_no_published_port(text: str, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        ports.publish(text)


def test_ports_to_remove() -> None:
    assert ports.target("80/udp") == port(80, protocol=Protocol.UDP)
    for text in ("8080:80", "x", "0", "80/sctp"):
        with pytest.raises(InvalidArgument):
            ports.target(text)


def test_mounts() -> None:
    assert mounts.mount("source=data,target=/data") == Mount(MountKind.VOLUME, "data", "/data")
    assert mounts.mount("type=bind,src=/a,dst=/b,readonly,bind-propagation=rslave") == Mount(
        MountKind.BIND, "/a", "/b", read_only=True, propagation="rslave"
    )
    assert mounts.mount("type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1770") == Mount(
        MountKind.TMPFS, "", "/t", tmpfs=TmpfsOptions(64 << 20, 0o1770)
    )
    assert mounts.mount("target=/d,volume-nocopy=true,volume-label=a=b,readonly=false") == Mount(
        MountKind.VOLUME, "", "/d", no_copy=True, labels={"a": "b"}
    )
    assert mounts.mount('type=bind,"source=/a,b",target=/c').source == "/a,b"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "target"),
        ("type=bind,source=a,target=/b", "absolute path"),
        ("source=/host,target=/b", "say type=bind"),
        ("type=tmpfs,source=x,target=/b", "no source"),
        ("source=a,target=b", "target 'b'"),
        ("type=npipe,target=/b", "none of bind, volume, tmpfs"),
        ("source=a,target=/b,tmpfs-size=1m", "type=tmpfs only"),
        ("type=tmpfs,target=/b,tmpfs-mode=99", "permission mode"),
        ("target=/b,readonly=maybe", "true or false"),
        ("target=/b,size=1", "unknown key 'size'"),
        ('target=/b,"source=a', "quotes"),
    ],
)
def test_what_is_no_mount(text: str, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        mounts.mount(text)


def test_variables() -> None:
    around = {"HOME": "/root"}
    assert environment.variable("A=b=c", around) == "A=b=c"
    assert environment.variable("HOME", around) == "HOME=/root"
    assert environment.variable("UNSET", around) is None
    for text in ("=x", "", "A B=c", "A=\0"):
        with pytest.raises(InvalidArgument):
            environment.variable(text, around)


def test_files_of_variables() -> None:
    content = "# comment\n\nA=1\n  B=two words \nHOME\nUNSET\n"
    assert environment.env_file(content, "f", {"HOME": "/r"}) == ["A=1", "B=two words ", "HOME=/r"]
    with pytest.raises(InvalidArgument, match="f, line 2"):
        environment.env_file("A=1\n=2\n", "f", {})


def test_networks_and_hosts() -> None:
    assert attachments.attachment("net1") == NetworkAttachmentSpec("net1")
    assert attachments.attachment("name=net1,alias=a,alias=b") == NetworkAttachmentSpec("net1", ("a", "b"))
    for text in ("", "a,b", "alias=a", "name=", "name=n,driver-opt=x"):
        with pytest.raises(InvalidArgument):
            attachments.attachment(text)
    assert attachments.host_entry("db:fd00::7") == "db:fd00::7"
    with pytest.raises(InvalidArgument):
        attachments.host_entry("db=10.0.0.1")
    with pytest.raises(InvalidArgument, match="host bits"):
        attachments.subnet("10.0.0.1/24")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", "10.0.0.1:2377"),
        ("m1:99", "m1:99"),
        ("[fd00::1]:99", "[fd00::1]:99"),
        ("[fd00::1]", "[fd00::1]:2377"),
        ("fd00::1", "[fd00::1]:2377"),
    ],
)
def test_a_managers_address(text: str, expected: str) -> None:
    assert attachments.manager_address(text) == expected


@pytest.mark.parametrize(
    "text", ["", ":2377", "m1:", "m1:x", "m1:0", "m1:65536", "a b", "http://m1", "[fd00::1]x"]
)
def test_what_is_no_managers_address(text: str) -> None:
    with pytest.raises(InvalidArgument):
        attachments.manager_address(text)


def test_ulimits() -> None:
    assert others.ulimit("nofile=1024") == Ulimit("nofile", 1024, 1024)
    assert others.ulimit("RLIMIT_NOFILE=1:-1") == Ulimit("nofile", 1, -1)
    for text in ("nofile", "nofile=x", "nofile=2:1", "nofile=-1:5", "nofile=-2", "=1"):
        with pytest.raises(InvalidArgument):
            others.ulimit(text)


def test_generic_resources_and_checks() -> None:
    assert others.generic_resource("gpu=2") == GenericResource(kind="gpu", count=2)
    for text in ("gpu", "gpu=", "gpu=0", "=2", "gpu=UUID-1", "gpu=-1"):
        with pytest.raises(InvalidArgument, match="KIND=COUNT"):
            others.generic_resource(text)
    assert others.health_test("curl -f localhost || exit 1") == ("CMD-SHELL", "curl -f localhost || exit 1")
    with pytest.raises(InvalidArgument, match="--no-healthcheck"):
        others.health_test(" ")


def test_placement_commands_and_images() -> None:
    assert others.constraint("node.labels.disk==ssd") == others.constraint(" node.labels.disk == ssd ")
    assert others.preference("spread=node.labels.zone").spread == "node.labels.zone"
    assert others.command("sh -c 'echo a b'") == ("sh", "-c", "echo a b")
    assert others.image("nginx:1") == "nginx:1"
    for read, text in (
        (others.constraint, "node.color==red"),
        (others.preference, "node.labels.zone"),
        (others.command, "sh 'open"),
        (others.image, "UPPER"),
    ):
        with pytest.raises(InvalidArgument):
            read(text)


def test_times_and_tails() -> None:
    now = 1_900_000_000 * S
    assert others.since_ns("10m", now) == now - 600 * S
    assert others.since_ns("1800000000.5", now) == 1_800_000_000 * S + S // 2
    assert others.since_ns("2030-01-31T12:00:00Z", now) == 1_896_091_200 * S
    assert others.since_ns("2030-01-31", now) == 1_896_048_000 * S
    for text in ("", "yesterday", "2030-13-01", "9" * 400):
        with pytest.raises(InvalidArgument):
            others.since_ns(text, now)
    assert (others.tail("all"), others.tail("10")) == (-1, 10)
    for text in ("", "-1", "x"):
        with pytest.raises(InvalidArgument):
            others.tail(text)


def test_labels() -> None:
    assert pairs.key_value("a=b=c") == ("a", "b=c")
    assert pairs.key_value("a") == ("a", "")
    for text in ("", "=b", " a=b"):
        with pytest.raises(InvalidArgument):
            pairs.key_value(text)


def test_credentials_come_from_dockers_file() -> None:
    config = (
        b'{"auths": {"reg:5000": {"auth": "dTpwOnc="}, "https://index.docker.io/v1/": {"auth": "aHViOng="}}}'
    )
    assert others.credentials(config, "f", "reg:5000/a/b:1") == RegistryAuth("u", "p:w")
    assert others.credentials(config, "f", "nginx") == RegistryAuth("hub", "x")
    for bad, image in (
        (config, "other:5000/a"),
        (b"{", "nginx"),
        (b'{"auths":{"docker.io":{"auth":"?"}}}', "nginx"),
    ):
        with pytest.raises(InvalidArgument):
            others.credentials(bad, "f", image)
