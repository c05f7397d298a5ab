"""Whatever is typed as an image or a user is either understood or refused, and what is understood is stable."""

from hypothesis import given
from hypothesis import strategies as st

from agent.runtime.oci.users import resolve
from covey.errors import InvalidArgument
from covey.model.reference import parse

WORD = st.from_regex(r"[a-z0-9]{1,8}([._-][a-z0-9]{1,8}){0,3}", fullmatch=True)
HOST = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True)
TAG = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        reference = parse(text)
    except InvalidArgument:
        return
    assert parse(str(reference)) == reference
    assert not reference.pull_name.startswith("-"), "it becomes part of a command line"


@given(HOST, st.lists(WORD, min_size=1, max_size=4), TAG)
def test_parts_come_back(host: str, path: list[str], tag: str) -> None:
    reference = parse(f"{host}.test:5000/{'/'.join(path)}:{tag}")
    assert (reference.registry, reference.repository) == (f"{host}.test:5000", "/".join(path))
    assert (reference.tag, reference.digest) == (tag, "")


@given(st.text(), st.lists(st.text(), max_size=2), st.text(), st.text())
def test_any_user_is_a_number_or_refused(user: str, groups: list[str], passwd: str, group: str) -> None:
    try:
        who = resolve(user, groups, passwd, group)
    except InvalidArgument:
        return
    assert 0 <= who.uid < 1 << 31
    assert 0 <= who.gid < 1 << 31
