"""Whatever is asked for is taken or refused with a sentence: nothing else comes of it."""

import typing
from contextlib import suppress
from enum import IntEnum
from typing import Any

import msgspec
from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from covey.errors import FailedPrecondition, InvalidArgument
from covey.model import expansion, generic, template
from covey.model.objects import Node, NodeDescription, Task
from covey.model.specs import NodeSpec, Platform, PortConfig, ServiceSpec
from covey.model.states import PublishMode, UpdateOrder
from manager.control import validate
from manager.control.feasible import check_feasible
from manager.store.tables import Tables
from tests.support.cluster_objects import change
from tests.support.sound_service import SOUND

WORDS = st.sampled_from(
    "|a|web|/|/srv|..|{{|{{.Task.Slot}}|{{.Node.Labels.x}}|{{-|\0| |=|a=b|NONE|CMD|CMD-SHELL|nofile|"
    "node.role == worker|node.labels.a|db:10.0.0.1|ALL|9|²".split("|")
)
TEXTS = st.one_of(WORDS, st.text(max_size=5), st.lists(WORDS, max_size=3).map("".join))
NUMBERS = st.one_of(
    st.integers(-2, 3), st.sampled_from([10**6, 10**9, 65535, 65536]), st.integers(-(2**63), 2**63 - 1)
)
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: NUMBERS,
    bool: st.booleans(),
    float: st.floats(),
}


def of_type(annotation: Any) -> st.SearchStrategy[Any]:
    """Anything that a field of this type may hold."""
    if annotation in SCALARS:
        return SCALARS[annotation]
    if isinstance(annotation, type) and issubclass(annotation, IntEnum):
        return st.sampled_from(list(annotation))
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        hints = typing.get_type_hints(annotation)
        return st.fixed_dictionaries({}, optional={n: of_type(t) for n, t in hints.items()}).map(
            lambda fields: annotation(**fields)
        )
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple:
        return st.lists(of_type(arguments[0]), max_size=3).map(tuple)
    if typing.get_origin(annotation) is dict:
        return st.dictionaries(TEXTS, TEXTS, max_size=3)
    return st.none() | of_type(next(a for a in arguments if a is not type(None)))


@st.composite
def spoiled(draw: st.DrawFn, value: Any, times: int = 3) -> Any:
    """A sound struct with a few fields, deep within, that hold anything."""
    for _ in range(times):
        value = draw(_spoiled_once(value))
    return value


@st.composite
def _spoiled_once(draw: st.DrawFn, value: Any) -> Any:
    hints = typing.get_type_hints(type(value))
    name = draw(st.sampled_from(sorted(hints)))
    inner: Any = getattr(value, name)
    if isinstance(inner, msgspec.Struct) and draw(st.integers(0, 9)):
        return replace(value, **{name: draw(_spoiled_once(inner))})
    if isinstance(inner, tuple) and inner and isinstance(inner[0], msgspec.Struct) and draw(st.booleans()):
        entries: list[Any] = [*inner]
        index = draw(st.integers(0, len(entries) - 1))
        entries[index] = draw(_spoiled_once(entries[index]))
        return replace(value, **{name: tuple(entries)})
    return replace(value, **{name: draw(of_type(hints[name]))})


SPECS = st.one_of(of_type(ServiceSpec), spoiled(SOUND), spoiled(SOUND, 1))


@settings(max_examples=300)
@given(SPECS)
def test_a_service_is_sound_or_refused_with_a_sentence(spec: ServiceSpec) -> None:
    try:
        validate.check_service(spec)
    except InvalidArgument as error:
        refusal = str(error)
    else:
        refusal = ""
        # What was taken can be filled in for every task: what comes of it may be refused, and nothing worse.
        task, node = Task(id="t" * 25, slot=1), Node(id="n1", description=NodeDescription(hostname="host1"))
        with suppress(InvalidArgument):
            expansion.expanded(spec.task.container, template.facts_of(spec, task, node))
    event("refused" if refusal else "taken")
    assert not refusal or (len(refusal) > 20 and refusal.isprintable())


@given(of_type(NodeSpec))
def test_a_node_is_sound_or_refused(spec: NodeSpec) -> None:
    with suppress(InvalidArgument):
        validate.check_node(spec)


LABELS = st.dictionaries(st.sampled_from(["disk", "zone"]), st.sampled_from(["ssd", "hdd"]), max_size=2)
NODES = st.lists(st.tuples(LABELS, st.sampled_from(["", "amd64", "x86_64", "arm64"])), max_size=4)


ASKED = st.builds(
    lambda replicas, most, update, ports: replace(
        SOUND,
        mode=replace(SOUND.mode, replicas=replicas),
        task=replace(SOUND.task, placement=replace(SOUND.task.placement, max_replicas_per_node=most)),
        update=replace(SOUND.update, order=update),
        endpoint=replace(SOUND.endpoint, ports=ports),
    ),
    st.integers(0, 6),
    st.integers(0, 2),
    st.sampled_from(UpdateOrder),
    st.sampled_from([(), (PortConfig(target_port=80, publish_mode=PublishMode.HOST),)]),
)


@given(ASKED, st.none() | ASKED, NODES)
def test_what_is_sound_is_feasible_or_refused_with_the_remedy(
    spec: ServiceSpec, current: ServiceSpec | None, nodes: list[tuple[dict[str, str], str]]
) -> None:
    validate.check_service(spec)
    view = Tables()
    for number, (labels, architecture) in enumerate(nodes):
        described = NodeDescription(platform=Platform("linux", architecture))
        change(view, Node(id=f"n{number}", spec=NodeSpec(labels=labels), description=described))
    try:
        check_feasible(view, spec, current)
    except FailedPrecondition as error:
        refusal = str(error)
    else:
        refusal = ""
    event("refused" if refusal else "taken")
    assert not refusal or "add nodes first" in refusal
    if not refusal:
        check_feasible(view, spec, spec)  # and it can be changed in other ways


@given(st.lists(st.one_of(TEXTS, st.from_regex(r"[a-c]=([0-9]|[x-z]){1,2}", fullmatch=True)), max_size=4))
def test_what_a_node_offers_is_read_or_refused_and_reads_back(texts: list[str]) -> None:
    offered = None
    with suppress(InvalidArgument):
        offered = generic.offered(texts)
    if offered is not None:
        assert generic.offered(part for part in generic.describe(offered).split(", ") if part) == offered
        assert all(each.count > 0 and (not each.value or each.count == 1) for each in offered)
