import socket

import pytest

from covey.errors import FailedPrecondition, InvalidArgument
from node import addresses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", ("10.0.0.1", 2377)),
        ("10.0.0.1:99", ("10.0.0.1", 99)),
        ("m1.example", ("m1.example", 2377)),
        ("[fd00::1]:2377", ("fd00::1", 2377)),
        ("fd00::1", ("fd00::1", 2377)),
        ("[fd00::1]", ("fd00::1", 2377)),
    ],
)
def test_a_managers_address(text: str, expected: tuple[str, int]) -> None:
    assert addresses.manager_address(text, 2377) == expected


@pytest.mark.parametrize(
    "text", ["", ":2377", "m1:", "m1:x", "m1:0", "m1:65535", "m1:99999", "http://m1", "[::1]x"]
)
def test_what_is_no_managers_address(text: str) -> None:
    with pytest.raises(InvalidArgument, match="HOST:PORT"):
        addresses.manager_address(text, 2377)


def test_the_only_address_is_taken_and_of_several_none() -> None:
    assert addresses.advertised("", {"eth0": "10.0.0.1"}) == "10.0.0.1"
    assert addresses.advertised("eth1", {"eth0": "10.0.0.1", "eth1": "10.1.0.1"}) == "10.1.0.1"
    with pytest.raises(InvalidArgument, match=r"10\.0\.0\.1 \(eth0\), 10\.1\.0\.1 \(eth1\)"):
        addresses.advertised("", {"eth0": "10.0.0.1", "eth1": "10.1.0.1"})
    with pytest.raises(FailedPrecondition, match="no address"):
        addresses.advertised("", {})


@pytest.mark.parametrize(
    "text", ["10.0.0.1:2377", "0.0.0.0", "127.0.0.1", "224.0.0.1", "eth7", "10.0.0", "fe80::1%eth0"]
)
def test_what_nobody_could_reach_is_not_advertised(text: str) -> None:
    with pytest.raises(InvalidArgument, match="--advertise-addr"):
        addresses.advertised(text, {})


def test_an_address_of_another_host_is_no_source_for_packets() -> None:
    addresses.require_local("127.0.0.1", "--data-path-addr")
    with pytest.raises(InvalidArgument, match="--data-path-addr"):
        addresses.require_local("203.0.113.77", "--data-path-addr")


def test_packets_of_overlays_go_by_ipv4() -> None:
    with pytest.raises(
        InvalidArgument, match="fd00::1 is of IPv6, and overlay packets go between nodes by IPv4"
    ):
        addresses.require_local("fd00::1", "--data-path-addr")
    assert addresses.source_of_packets("10.0.0.1", {}) == "10.0.0.1"
    assert addresses.source_of_packets("fd00::1", {"eth0": "10.0.0.1"}) == "10.0.0.1"
    with pytest.raises(InvalidArgument, match=r"several addresses: .*choose one with --data-path-addr"):
        addresses.source_of_packets("fd00::1", {"eth0": "10.0.0.1", "eth1": "10.1.0.1"})


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(FailedPrecondition, match=f"port {port}/tcp"):
            addresses.require_free("127.0.0.1", port)
    addresses.require_free("127.0.0.1", port)
