"""Templates never surprise: what is checked can be filled in, and what is no template stays as it is."""

from contextlib import suppress

from hypothesis import event, given
from hypothesis import strategies as st

from covey.errors import InvalidArgument
from covey.model import template
from covey.model.template import FIELDS, LABELS, Facts

FACTS = Facts(
    service_name="web",
    service_labels={"a": "{{.Task.Slot}}", "a.b": "dotted"},
    node_labels={"disk": " ssd "},
    task_name="web.1.t",
    task_slot="1",
)
fragments = st.sampled_from(
    [
        "{{",
        "}}",
        "{{- ",
        " -}}",
        '"',
        "`",
        "\\",
        "/*",
        "*/",
        "index",
        " ",
        "\n",
        *FIELDS,
        *LABELS,
        ".Task",
        "x",
    ]
)
texts = st.one_of(st.text(), st.lists(st.one_of(fragments, st.text(max_size=3)), max_size=12).map("".join))
plain = st.text(alphabet=st.characters(exclude_characters="{"))
keys = st.sampled_from(["a", "a.b", "none", 'q"\\'])


def quoted(text: str) -> str:
    """Write a literal as Go does."""
    return (
        '"'
        + "".join(char if char not in '"\\\n' else {"\n": "\\n"}.get(char, "\\" + char) for char in text)
        + '"'
    )


@given(texts)
def test_what_is_checked_can_be_filled_in_and_nothing_else_is_raised(text: str) -> None:
    sound = False
    with suppress(InvalidArgument):
        template.check("hostname", text)
        sound = True
    event("sound" if sound else "unsound")
    if sound:
        template.expand("hostname", text, FACTS)


@given(st.text().filter(lambda text: "{{" not in text))
def test_a_text_without_braces_is_untouched(text: str) -> None:
    assert template.expand("env", text, FACTS) == text


@given(st.text())
def test_every_text_can_be_written_as_a_literal(text: str) -> None:
    assert template.expand("env", "{{" + quoted(text) + "}}", FACTS) == text


parts = st.one_of(
    plain.map(lambda text: (text, text)),
    st.text().map(lambda text: ("{{" + quoted(text) + "}}", text)),
    st.sampled_from(sorted(FIELDS)).map(lambda name: ("{{ " + name + " }}", FIELDS[name](FACTS))),
    st.tuples(st.sampled_from(sorted(LABELS)), keys).map(
        lambda pair: (f"{{{{index {pair[0]} {quoted(pair[1])}}}}}", LABELS[pair[0]](FACTS).get(pair[1], ""))
    ),
)


@given(st.lists(parts))
def test_a_template_is_its_parts_one_after_another(pairs: list[tuple[str, str]]) -> None:
    """What a part stands for is not read again, even where it looks like a template."""
    text = "".join(written for written, _ in pairs)
    assert template.expand("env", text, FACTS) == "".join(meant for _, meant in pairs)


@given(plain, plain)
def test_trimming_takes_the_blanks_next_to_an_action_and_no_others(before: str, after: str) -> None:
    expected = before.rstrip(" \t\r\n") + "1" + after.lstrip(" \t\r\n")
    assert template.expand("env", before + "{{- .Task.Slot -}}" + after, FACTS) == expected
