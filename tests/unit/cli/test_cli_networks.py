"""What `covey network` reads and shows, without a manager."""

import pytest
from msgspec.structs import replace

from covey.cli.app import USAGE, outcome
from covey.cli.commands.network import create
from covey.cli.habits import plain
from covey.cli.show import networks as show
from covey.cli.spec.network import network_spec
from covey.client.views import NetworkBackend, NetworkFollower, NetworkService, NetworkTruth
from covey.errors import InvalidArgument
from covey.model import predefined
from covey.model.objects import ClusterVersion, Endpoint, Network, Subnet
from covey.model.specs import IpamConfig, NetworkSpec, PortConfig
from covey.model.states import EndpointState

NET = Network(
    id="n" * 25, spec=NetworkSpec(name="net1"), vni=4096, subnets=(Subnet("10.0.0.0/24", "10.0.0.1"),)
)


def test_gateways_ranges_and_kept_addresses_go_to_the_subnet_they_lie_in() -> None:
    spec = network_spec(
        "n",
        driver="overlay",
        subnets=("10.1.0.0/16", "10.2.0.0/16"),
        gateways=("10.2.0.9",),
        ip_ranges=("10.1.4.0/24",),
        aux_addresses=(("router", "10.2.0.7"), ("printer", "10.2.0.8")),
    )
    assert spec.ipam == (
        IpamConfig("10.1.0.0/16", "10.1.4.0/24"),
        IpamConfig("10.2.0.0/16", "", "10.2.0.9", {"router": "10.2.0.7", "printer": "10.2.0.8"}),
    )


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"aux_addresses": (("a", "10.9.0.1"),)}, "--aux-address a=10.9.0.1: it lies in none of the subnets"),
        ({"gateways": ("10.1.0.1", "10.1.0.2")}, "--gateway 10.1.0.2: 10.1.0.0/16 has 10.1.0.1 already"),
        ({"options": (("mtu", "1400"), ("mtu", "1300"))}, "--opt mtu=1300: mtu is given twice"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(flags: dict[str, tuple[str, ...]], says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        network_spec("n", driver="overlay", subnets=("10.1.0.0/16",), **flags)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("network create --subnet 10.5.0.1/16 n", "did you mean 10.5.0.0/16?"),
        ("network create --aux-address 10.5.0.1 n", "'10.5.0.1' is not NAME=ADDRESS"),
        ("network create --ipam-driver mine n", "the managers give addresses themselves"),
        ("network create --scope local n", "'local' is not one of 'swarm', 'cluster'"),
        ("network ls --filter scope=global", "no scope is called 'global'"),
    ],
)
def test_wrong_usage_of_networks_names_the_value(
    words: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(words.split()) == USAGE
    assert says in capsys.readouterr().err


def test_the_list_says_what_a_network_waits_for() -> None:
    states = [
        show.row(NET, 0, whole=False)[-1],
        show.row(replace(NET, pending_delete=True), 3, whole=False)[-1],
        show.row(replace(NET, pending_delete=True), 0, whole=False)[-1],
        show.row(replace(NET, vni=0, allocation_error="no free /24 is left"), 0, whole=False)[-1],
        show.row(predefined.NETWORKS[1], 0, whole=False)[-1],
    ]
    assert states == ["ready", "removing, waits for 3 tasks", "removing", '"no free /24 is left"', "ready"]
    assert [show.row(each, 0, whole=False)[3] for each in (NET, *predefined.NETWORKS)] == [
        "cluster",
        *("local",) * 3,
    ]


def test_all_that_is_true_of_a_network_reads_well() -> None:
    on_m1 = Endpoint(id="e", node_id="m1", addresses=("10.0.0.3",))
    backend = NetworkBackend("t1", "web.1.t1", "m1", "m1", ("10.0.0.3",), EndpointState.ACTIVE)
    web = NetworkService(
        "s",
        "web",
        ("shop",),
        virtual_ips=("10.0.0.2",),
        ports=(PortConfig(name="http", target_port=80),),
        backends=(backend,),
    )
    truth = NetworkTruth(
        ClusterVersion(1, 9),
        (
            NetworkFollower("m1", "m1", True, ClusterVersion(1, 9), 0, (on_m1,)),
            NetworkFollower("w1", "w1", True, ClusterVersion(1, 7), 2),
            NetworkFollower("w2", "w2", False, ClusterVersion(), -1),
        ),
        (web, NetworkService("d", "idle", virtual_ips=("10.0.0.5",))),
        "waits for 1 task to end",
    )
    assert (
        show.pretty(NET, truth)
        == f"""\
Network net1 ({"n" * 25})

Newest table: version 9

It is being removed, and waits for 1 task to end.

NODE   CONNECTED   TABLE   BEHIND      ENDPOINTS
m1     yes         9       nothing     10.0.0.3
w1     yes         7       2 entries   none
w2     no          none    unknown     none

Service web (vip), at 10.0.0.2, also called shop, ports by name _http._tcp (80)
TASK       STATE    NODE   ADDRESS
web.1.t1   active   m1     10.0.0.3

Service idle (vip), at 10.0.0.5
no task is on it"""
    )


@pytest.mark.parametrize(
    ("words", "spec"),
    [
        (["--ipv6", "n"], NetworkSpec(name="n", ipv6=True)),
        (["--ipv4=false", "--ipv6=true", "n"], NetworkSpec(name="n", ipv4=False, ipv6=True)),
        (["--no-ipv4", "--ipv6", "n"], NetworkSpec(name="n", ipv4=False, ipv6=True)),
        (["--ipv4", "--ipv6=false", "n"], NetworkSpec(name="n")),
    ],
)
def test_families_are_asked_for_as_with_docker(words: list[str], spec: NetworkSpec) -> None:
    context = create.make_context("create", plain(create, words))
    assert network_spec(**context.params) == spec


def test_what_attachable_means_is_said() -> None:
    noted = replace(NET, spec=replace(NET.spec, attachable=True))
    assert "Note: attachable is kept, but only tasks of services join" in show.pretty(noted, NetworkTruth())
    assert "attachable" not in show.pretty(NET, NetworkTruth())
