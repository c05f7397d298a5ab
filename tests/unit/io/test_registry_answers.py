"""What skopeo says becomes an error a user can act on."""

import asyncio

import pytest

from covey.errors import InvalidArgument, NotFound, PermissionDenied, Unavailable
from covey.io.process import Finished, run
from covey.io.registry import authfile, explain, is_insecure
from covey.model.reference import parse
from covey.model.specs import RegistryAuth

IMAGE = parse("10.0.0.1:5000/demo/web:9")


def fatal(message: str) -> Finished:
    return Finished(1, b"", f'time="2026" level=fatal msg="{message}"\n'.encode())


@pytest.mark.parametrize(
    ("message", "kind", "word"),
    [
        ("reading manifest 9 in demo/web: manifest unknown: manifest unknown", NotFound, "no such image"),
        ("unable to retrieve auth token: unauthorized: login", PermissionDenied, "credentials"),
        ("requested access to the resource is denied", PermissionDenied, "credentials"),
        ("no image found in manifest list for architecture amd64", InvalidArgument, "architecture"),
        ("dial tcp 10.0.0.1:5000: connect: connection refused", Unavailable, "does not answer"),
        ("dial tcp: lookup nosuch on 10.0.0.2:53: no such host", Unavailable, "does not answer"),
        ("http: server gave HTTP response to HTTPS client", Unavailable, "--insecure-registry"),
        ("x509: certificate signed by unknown authority", Unavailable, "CA"),
        ("write /var: no space left on device", Unavailable, "disk"),
        ("something nobody has seen", Unavailable, "something nobody has seen"),
    ],
)
def test_each_trouble_has_its_kind_its_cause_and_the_name(message: str, kind: type, word: str) -> None:
    error = explain(IMAGE, fatal(message))
    assert type(error) is kind
    assert word in str(error)
    assert "10.0.0.1:5000/demo/web:9" in str(error)
    assert "level=fatal" not in str(error)


@pytest.mark.parametrize(
    ("registry", "listed", "expected"),
    [
        ("127.0.0.1:5000", (), True),
        ("localhost:5000", (), True),
        ("[::1]:5000", (), True),
        ("10.1.2.3:5000", ("10.0.0.0/8",), True),
        ("10.1.2.3:5000", ("10.1.2.3:5000",), True),
        ("10.1.2.3:5000", ("10.1.2.3:5001",), False),
        ("registry.example.com:5000", ("registry.example.com",), True),
        ("docker.io", ("10.0.0.0/8",), False),
    ],
)
def test_which_registries_may_speak_plain_http(
    registry: str, listed: tuple[str, ...], expected: bool
) -> None:
    assert is_insecure(registry, listed) is expected


def test_a_malformed_insecure_block_is_named() -> None:
    with pytest.raises(InvalidArgument, match=r"10\.0\.0\.0/99"):
        is_insecure("10.1.2.3:5000", ("10.0.0.0/99",))


def test_credentials_reach_the_child_but_no_argv_and_no_disk() -> None:
    with authfile("r:1", RegistryAuth("me", "secret")) as (options, fds):
        assert "secret" not in " ".join(options)
        path = options[0].partition("=")[2]
        done = asyncio.run(run(["/bin/cat", path], timeout_s=10, pass_fds=fds))
    assert done.stdout == b'{"auths":{"r:1":{"auth":"bWU6c2VjcmV0"}}}'


def test_no_credentials_no_option() -> None:
    with authfile("r:1", None) as given:
        assert given == ([], ())
