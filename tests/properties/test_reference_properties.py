"""Whatever is typed as an image or a user is either understood or refused, and what is understood is stable."""

from hypothesis import given
from hypothesis import strategies as st

from agent.runtime.oci.users import resolve
from covey.errors import InvalidArgument
from covey.model.reference import parse

WORD = st.from_regex(r"[a-z0-9]+([._-][a-z0-9]+)*", fullmatch=True)


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        reference = parse(text)
    except InvalidArgument as refusal:
        assert repr(text) in str(refusal)
    else:
        assert parse(str(reference)) == reference
        assert not reference.pull_name.startswith("-"), "it becomes part of a command line"


@given(
    WORD, st.lists(WORD, min_size=1, max_size=4), st.from_regex(r"[A-Za-z0-9_][\w.-]{0,20}", fullmatch=True)
)
def test_parts_come_back(host: str, path: list[str], tag: str) -> None:
    tag = tag.encode("ascii", "ignore").decode() or "x"
    reference = parse(f"{host}.test:5000/{'/'.join(path)}:{tag.lstrip('.-') or 'x'}")
    assert reference.registry == f"{host}.test:5000"
    assert reference.repository == "/".join(path)


@given(st.text(), st.lists(st.text(), max_size=2), st.text(), st.text())
def test_any_user_in_any_passwd_is_a_number_or_refused(
    user: str, groups: list[str], passwd: str, group: str
) -> None:
    try:
        who = resolve(user, groups, passwd, group)
    except InvalidArgument:
        return
    assert 0 <= who.uid < 1 << 31
    assert 0 <= who.gid < 1 << 31
