import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from covey.client.host import DEFAULT_HOST, Host
from covey.errors import FailedPrecondition, InvalidArgument, Unavailable
from tests.support.leftovers import prefix


def test_the_managers_socket_is_beside_the_daemons() -> None:
    assert Host.parse(DEFAULT_HOST).manager_socket == Path("/run/covey/manager.sock")


@pytest.mark.parametrize("text", ["", "/run/covey.sock", "tcp://m1:2377", "unix://relative", "unix:/one"])
def test_another_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidArgument, match="write it like unix:///run"):
        Host.parse(text)


def test_who_is_missing_is_told_apart() -> None:
    with TemporaryDirectory(prefix=f"{prefix()}-") as folder:
        host = Host(Path(folder) / "covey.sock")
        with pytest.raises(Unavailable, match="no coveyd listens"):
            host.check_manager()
        with socket.socket(socket.AF_UNIX) as daemon:
            daemon.bind(str(host.daemon_socket))
            with pytest.raises(Unavailable, match="no coveyd listens"):
                host.check_daemon()  # the file of a process that is gone
            daemon.listen()
            host.check_daemon()
            with pytest.raises(FailedPrecondition, match="not a manager"):
                host.check_manager()
