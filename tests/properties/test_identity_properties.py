"""Whatever comes from outside as a token, a certificate or a request is read, or refused with our own error."""

from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from covey.errors import CoveyError, InvalidArgument
from covey.identity import (
    Identity,
    create_request,
    create_root,
    make_token,
    new_key,
    node_id_of,
    parse_token,
    read_peer,
    sign_request,
)
from covey.ids import ALPHABET, is_id
from covey.model.states import NodeRole

CLUSTER = "0123456789abcdefghijklmno"
NOW_NS = 1_700_000_000_000_000_000
ROOT = create_root(CLUSTER, NOW_NS)
REQUEST = create_request(new_key())
IDENTITY = Identity(node_id_of(REQUEST), CLUSTER, NodeRole.MANAGER)
CERTIFICATE = sign_request(ROOT, REQUEST, IDENTITY, NOW_NS, 10**15)


def digits(length: int) -> st.SearchStrategy[str]:
    return st.text(ALPHABET, min_size=length, max_size=length)


@given(digits(50), digits(25))
def test_every_token_is_read_as_it_was_written(digest: str, secret: str) -> None:
    token = make_token(digest, secret)
    assert parse_token(str(token)) == token


@given(st.one_of(st.text(), st.text().map("COVEY-1-".__add__)))
def test_any_text_is_a_token_or_refused(text: str) -> None:
    try:
        token = parse_token(text)
    except InvalidArgument:
        return
    assert str(token) == text.strip()


@given(digits(50), digits(25), st.integers(0, 83), st.characters())
def test_a_token_with_one_character_changed_is_another_token_or_refused(
    digest: str, secret: str, at: int, character: str
) -> None:
    token = make_token(digest, secret)
    text = str(token)
    changed = text[:at] + character + text[at + 1 :]
    with suppress(InvalidArgument):
        assert changed.strip() == text or parse_token(changed) != token


# What the library thinks old-fashioned about a damaged certificate is no failure of ours.
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(st.integers(0, len(CERTIFICATE) - 1), st.integers(0, 255))
@example(44, 66)  # a version no standard knows
@settings(max_examples=200)
def test_a_damaged_certificate_is_read_or_refused(at: int, byte: int) -> None:
    damaged = CERTIFICATE[:at] + bytes([byte]) + CERTIFICATE[at + 1 :]
    try:
        peer = read_peer(damaged)
    except CoveyError:
        return
    assert is_id(peer.identity.node_id)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(st.one_of(st.binary(), st.tuples(st.integers(0, len(REQUEST) - 1), st.integers(0, 255)).map(
    lambda change: REQUEST[: change[0]] + bytes([change[1]]) + REQUEST[change[0] + 1 :]
)))  # fmt: skip
@settings(max_examples=200)
def test_anything_is_a_request_or_refused(pem: bytes) -> None:
    with suppress(InvalidArgument):
        assert is_id(node_id_of(pem))
