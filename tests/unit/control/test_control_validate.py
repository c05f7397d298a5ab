"""Every refusal names the field, the value and the remedy; what is sound passes."""

import pytest
from msgspec.structs import replace

from covey.errors import InvalidArgument
from covey.model.specs import (
    DnsConfig,
    Mount,
    NetworkAttachmentSpec,
    Placement,
    PortConfig,
    ResourceRequirements,
    Resources,
    RestartPolicy,
    ServiceMode,
    SpreadPreference,
    TmpfsOptions,
    Ulimit,
    UpdateConfig,
)
from covey.model.states import EndpointMode, MountKind, Protocol, PublishMode
from manager.control import validate
from tests.support.sound_service import SOUND, container, ports, task

UNSOUND = {
    "name: 'a b' is not a name": replace(SOUND, name="a b"),
    "name: '' is not a name": replace(SOUND, name=""),
    "labels: 'a=b' is not a label's key": replace(SOUND, labels={"a=b": ""}),
    "replicas: -1 is not between 0 and": replace(SOUND, mode=ServiceMode(replicas=-1)),
    "demo/Web": container(image="demo/Web"),
    "env: '=x' is not NAME=value": container(env=("=x",)),
    "workdir: 'srv' is not absolute": container(workdir="srv"),
    "hostname: '-' is not a host name": container(hostname="-"),
    "stop-signal: 'SIGNOPE' is not a signal": container(stop_signal="SIGNOPE"),
    "stop-grace-period: -1 is negative": container(stop_grace_ns=-1),
    "cap-add: 'FLY' is not a capability": container(capability_add=("FLY",)),
    "host: 'db' is not NAME:ADDRESS": container(hosts=("db",)),
    "stop-signal: '²' is not a signal": container(stop_signal="²"),
    "image-digest: 'latest' is not sha256:": container(image_digest="latest"),
    "args: 'a\\x00b' has a zero byte in it": container(args=("a\0b",)),
    "user: 'root\\x00' has a zero byte in it": container(user="root\0"),
    "sysctl: 'no setting' is not a kernel setting": container(sysctls={"no setting": "1"}),
    "ulimit: 'files' is not a limit; there are as, core": container(ulimits=(Ulimit("files", 1, 1),)),
    "ulimit nofile: '2:1' is not SOFT:HARD": container(ulimits=(Ulimit("nofile", 2, 1),)),
    "ulimit: 'nofile' is given twice": container(ulimits=(Ulimit("nofile", 1, 1),) * 2),
    "oom-score-adj: 1001 is not between": container(oom_score_adj=1001),
    "dns-search: 'a b' is not one word": container(dns=DnsConfig(search=("a b",))),
    "host: 'a b:10.0.0.1' has a name with spaces": container(hosts=("a b:10.0.0.1",)),
    "bind-propagation: 'far' is not one of": container(
        mounts=(Mount(source="/a", target="/d", propagation="far"),)
    ),
    "tmpfs-mode: '0o20000' is not a permission mode": container(
        mounts=(Mount(kind=MountKind.TMPFS, target="/d", tmpfs=TmpfsOptions(mode=0o20000)),)
    ),
    "dns: 'one' is not an IP address": container(dns=DnsConfig(nameservers=("one",))),
    "dns: '0.0.0.0' is no single host's address": container(dns=DnsConfig(nameservers=("0.0.0.0",))),
    "dns: 'ff02::1' is no single host's address": container(dns=DnsConfig(nameservers=("ff02::1",))),
    "dns: '127.0.0.11' is what containers ask in any case": container(
        dns=DnsConfig(nameservers=("127.0.0.11",))
    ),
    "dns: '10.1.1.1' is given twice": container(dns=DnsConfig(nameservers=("10.1.1.1", "10.1.1.1"))),
    "dns: '10.1.1.4' is one too many: 3 at most are asked": container(
        dns=DnsConfig(nameservers=("10.1.1.1", "10.1.1.2", "10.1.1.3", "10.1.1.4"))
    ),
    "mount source: 'srv' is not an absolute path": container(mounts=(Mount(source="srv", target="/d"),)),
    "mount target: 'd' is not an absolute path": container(mounts=(Mount(source="/srv", target="d"),)),
    "mount source: '../x' is not a volume's name": container(
        mounts=(Mount(kind=MountKind.VOLUME, source="../x", target="/d"),)
    ),
    "mount: '/d' is mounted on twice": container(mounts=(Mount(source="/a", target="/d"),) * 2),
    "tmpfs-size: -1 is negative": container(
        mounts=(Mount(kind=MountKind.TMPFS, target="/d", tmpfs=TmpfsOptions(size_bytes=-1)),)
    ),
    "limit-cpu: 0.0001 is less than 0.001": task(
        resources=ResourceRequirements(limits=Resources(nano_cpus=100_000))
    ),
    "reserve-memory: 1024 bytes are less than the least, 4 MiB": task(
        resources=ResourceRequirements(reservations=Resources(memory_bytes=1024))
    ),
    "reserve-cpu: 2.0 is more than the limit of 1.0": task(
        resources=ResourceRequirements(Resources(nano_cpus=10**9), Resources(nano_cpus=2 * 10**9))
    ),
    "restart-delay: -1 is negative": task(restart=RestartPolicy(delay_ns=-1)),
    "node.labels.x > 3": task(placement=Placement(constraints=("node.labels.x > 3",))),
    "placement-pref: 'zone' is not node.labels.NAME": task(
        placement=Placement(preferences=(SpreadPreference(spread="zone"),))
    ),
    "network: 'n' is attached twice": task(networks=(NetworkAttachmentSpec(target="n"),) * 2),
    "update-parallelism: -1 is negative": replace(SOUND, update=UpdateConfig(parallelism=-1)),
    "rollback-max-failure-ratio: 2.0 is not between 0 and 1": replace(
        SOUND, rollback=UpdateConfig(max_failure_ratio=2.0)
    ),
    "publish: 'sctp' is not supported": ports(PortConfig(protocol=Protocol.SCTP, target_port=1)),
    "publish: 0 is not a port of the container": ports(PortConfig(published_port=80)),
    "publish: 70000 is not a port": ports(PortConfig(target_port=80, published_port=70000)),
    "publish: 2377 is the port of the managers": ports(PortConfig(target_port=1, published_port=2377)),
    "publish: 4789 is the port of the overlay networks": ports(
        PortConfig(protocol=Protocol.UDP, target_port=1, published_port=4789)
    ),
    "is published twice": ports(*[PortConfig(target_port=t, published_port=80) for t in (1, 2)]),
    "cannot go with dnsrr": ports(PortConfig(target_port=80), mode=EndpointMode.DNSRR),
    "more than the": container(env=tuple(f"V{i}={'x' * 1000}" for i in range(600))),
}


def test_a_sound_service_passes() -> None:
    validate.check_service(SOUND)
    validate.check_service(
        ports(PortConfig(target_port=80, publish_mode=PublishMode.HOST), mode=EndpointMode.DNSRR)
    )


@pytest.mark.parametrize("sentence", UNSOUND)
def test_an_unsound_service_is_refused_with_a_sentence(sentence: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        validate.check_service(UNSOUND[sentence])
    assert sentence in str(refusal.value)
