import pytest

from covey.errors import InvalidArgument
from covey.identity import JoinToken, RootAuthority, create_root, make_token, parse_token, root_digest

CLUSTER = "0123456789abcdefghijklmno"
SECRET = "zyxwvutsrqponmlkjihgfedcb"
DIGEST = "d" * 50


@pytest.fixture(scope="module")
def root() -> RootAuthority:
    return create_root(CLUSTER, 0)


def test_a_token_is_read_as_it_was_written() -> None:
    token = make_token(DIGEST, SECRET)
    assert str(token) == f"COVEY-1-{DIGEST}-{SECRET}"
    assert parse_token(f"  {token}\n") == token


def test_a_token_does_not_show_its_secret_by_accident() -> None:
    token = JoinToken(DIGEST, SECRET)
    assert SECRET not in repr(token)
    assert SECRET not in f"{[token]}"


def test_the_digest_has_fifty_digits_and_depends_on_the_certificate(root: RootAuthority) -> None:
    digest = root_digest(root.certificate_pem)
    assert len(digest) == 50
    assert digest == root_digest(root.certificate_pem + b"\n")  # the certificate counts, not its wrapping
    assert digest != root_digest(create_root(CLUSTER, 0).certificate_pem)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "begins with"),
        ("hello", "begins with"),
        ("SWMTKN-1-abc-def", "Docker Swarm"),
        (f"COVEY-2-{DIGEST}-{SECRET}", "version '2'"),
        (f"COVEY-1-{DIGEST}-{SECRET[:-1]}", "damaged"),
        (f"COVEY-1-{DIGEST}-{SECRET.upper()}", "damaged"),
        (f"COVEY-1-{DIGEST}{SECRET}", "damaged"),
        ("COVEY-1", "damaged"),
        ("COVEY-", "version ''"),
    ],
)
def test_a_bad_token_is_refused_with_a_reason_and_without_its_secret(text: str, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says) as caught:
        parse_token(text)
    assert SECRET[:-1] not in str(caught.value)


def test_a_root_digest_needs_one_certificate_that_may_sign(root: RootAuthority) -> None:
    for wrong in (b"", b"nonsense", root.certificate_pem * 2):
        with pytest.raises(InvalidArgument, match="no root certificate"):
            root_digest(wrong)
