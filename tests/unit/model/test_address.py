"""Host and port as one."""

from covey.cli.parse.attachments import manager_address
from covey.model.address import join_host_port


def test_the_port_can_be_told_from_an_ipv6_address() -> None:
    assert join_host_port("192.0.2.1", 2377) == "192.0.2.1:2377"
    assert join_host_port("2001:db8::1", 2377) == "[2001:db8::1]:2377"
    assert manager_address("2001:db8::1") == "[2001:db8::1]:2377"
