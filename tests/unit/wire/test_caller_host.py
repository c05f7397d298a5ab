import pytest

from covey.wire.callers import host_of


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("ipv4:10.0.0.1:4321", "10.0.0.1"),
        ("ipv6:%5Bfd00::1%5D:4321", "fd00::1"),
        ("ipv6:[::1]:4321", "::1"),
        ("ipv6:%5B::ffff:10.0.0.1%5D:4321", "10.0.0.1"),
        ("unix:", ""),
        ("unix:/run/covey/covey.sock", ""),
    ],
)
def test_a_caller_is_known_by_its_address_without_the_port(peer: str, host: str) -> None:
    assert host_of(peer) == host
