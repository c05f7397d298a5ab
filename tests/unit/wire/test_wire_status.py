import logging

import grpc
import pytest

from covey import errors
from covey.wire.status import INTERNAL_ERROR, from_status, to_status

REFUSALS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.Refused) and kind is not errors.Refused
]


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_reads_the_same_on_both_sides(kind: type[errors.CoveyError]) -> None:
    code, message = to_status(kind("name 'Web' is taken; choose another"))
    received = from_status(code, message, "10.0.0.1:2377", raised="1")
    assert type(received) is kind
    assert str(received) == "name 'Web' is taken; choose another"


def test_every_refusal_has_a_status_of_its_own() -> None:
    assert len({to_status(kind("x"))[0] for kind in REFUSALS}) == len(REFUSALS)


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("secret"), errors.Bug("secret"), errors.Corrupt("secret")]
)
def test_our_own_faults_are_logged_and_not_told(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert to_status(error) == (grpc.StatusCode.INTERNAL, INTERNAL_ERROR)
    assert "secret" in caplog.text


def test_a_peers_fault_is_an_argument_that_was_wrong() -> None:
    assert to_status(errors.PeerFault("two registers"))[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_silence_names_the_address() -> None:
    for code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
        error = from_status(code, "", "10.0.0.1:2377", raised="")
        assert isinstance(error, errors.Unavailable)
        assert "10.0.0.1:2377" in str(error)


def test_a_message_without_end_is_cut() -> None:
    assert len(to_status(errors.NotFound("x" * 1_000_000))[1]) < 10_000


@pytest.mark.parametrize(
    ("details", "says"),
    [
        (
            "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:2377: "
            "Failed to connect to remote host: Connection refused",
            "10.0.0.1:2377 cannot be reached: Connection refused",
        ),
        ("Socket closed", "10.0.0.1:2377 cannot be reached: Socket closed"),
        ("", "10.0.0.1:2377 cannot be reached: the connection was lost"),
    ],
)
def test_what_grpc_says_at_length_is_said_briefly(details: str, says: str) -> None:
    assert str(from_status(grpc.StatusCode.UNAVAILABLE, details, "10.0.0.1:2377", raised="")) == says


def test_what_a_handler_says_of_somebody_else_is_not_blamed_on_itself() -> None:
    code, message = to_status(errors.Unavailable("registry.example does not answer"))
    assert str(from_status(code, message, "covey.sock", raised="1")) == "registry.example does not answer"


def test_what_grpc_itself_refuses_is_not_taken_for_our_words() -> None:
    error = from_status(grpc.StatusCode.RESOURCE_EXHAUSTED, "message larger than max", "a:1", raised="")
    assert isinstance(error, errors.Bug)
    assert "message larger than max" in str(error)
