"""What people type is read or refused, never more; what we write reads back the same."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covey.cli.parse import amounts, attachments, environment, mounts, others, pairs, ports
from covey.errors import InvalidArgument
from covey.model import quantity
from covey.model.specs import PortConfig

READERS: list[Callable[[str], Any]] = [
    amounts.duration_ns,
    amounts.size_bytes,
    amounts.nano_cpus,
    ports.publish,
    ports.target,
    mounts.mount,
    pairs.key_value,
    attachments.attachment,
    attachments.host_entry,
    attachments.manager_address,
    attachments.subnet,
    others.ulimit,
    others.constraint,
    others.preference,
    others.command,
    others.image,
    others.tail,
    lambda text: others.since_ns(text, 10**18),
    lambda text: environment.variable(text, {}),
    lambda text: environment.env_file(text, "file", {}),
    lambda text: others.credentials(text.encode("utf-8", "surrogatepass"), "file", "nginx"),
]
TYPED = st.text(max_size=40) | st.text("0123456789abcsmhkg:/.,=-_[]\"' tylpeourc", max_size=40)


@pytest.mark.parametrize("read", READERS)
@given(text=TYPED)
def test_any_text_is_read_or_refused(read: Callable[[str], Any], text: str) -> None:
    with suppress(InvalidArgument):
        read(text)


@given(st.integers(0, 2**62))
def test_durations_and_sizes_read_back(number: int) -> None:
    assert amounts.duration_ns(quantity.duration_text(number)) == number
    assert amounts.size_bytes(quantity.size_text(number)) == number


@given(st.integers(1, 65000), st.integers(1, 65000), st.integers(0, 50), st.sampled_from(["tcp", "udp"]))
def test_a_range_is_its_ports(published: int, target: int, more: int, protocol: str) -> None:
    text = f"{published}-{published + more}:{target}-{target + more}/{protocol}"
    expected = [
        found
        for n in range(more + 1)
        for found in ports.publish(f"target={target + n},published={published + n},protocol={protocol}")
    ]
    assert list(ports.publish(text)) == expected
    assert all(isinstance(port, PortConfig) for port in expected)
