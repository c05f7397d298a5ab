import pytest

from covey.errors import InvalidArgument
from covey.model.constraint import parse, parse_all
from covey.model.objects import Node, NodeDescription, NodeStatus
from covey.model.specs import NodeSpec, Platform
from covey.model.states import NodeRole

NODE = Node(
    id="n1",
    role=NodeRole.MANAGER,
    spec=NodeSpec(labels={"disk": "SSD", "Zone": "eu"}),
    description=NodeDescription(
        hostname="Host1", platform=Platform("linux", "x86_64"), engine_labels={"gpu": "yes"}
    ),
    status=NodeStatus(address="10.1.2.3:4567"),
)


@pytest.mark.parametrize(
    "text",
    [
        "node.id==n1",
        "node.id != n2",
        "node.hostname==host1",
        "NODE.ROLE == Manager",
        "node.ip==10.1.2.3",
        "node.ip==10.1.0.0/16",
        "node.ip!=10.2.0.0/16",
        "node.platform.os==linux",
        "node.platform.arch==amd64",
        "node.labels.disk==ssd",
        "node.labels.Zone==EU",
        "node.labels.zone!=eu",  # a label's name keeps its case: this node has no such label
        "node.labels.none!=x",
        "engine.labels.gpu==yes",
    ],
)
def test_what_holds(text: str) -> None:
    assert parse(text).holds(NODE)


@pytest.mark.parametrize(
    "text",
    [
        "node.id==N1",
        "node.role==worker",
        "node.ip==10.1.2.4",
        "node.ip==fd00::/8",
        "node.platform.arch==arm64",
        "node.labels.none==x",
        "engine.labels.gpu!=yes",
    ],
)
def test_what_does_not_hold(text: str) -> None:
    assert not parse(text).holds(NODE)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("node.id", "node.id"),
        ("node.id=n1", "node.id=n1"),
        ("node.colour==red", "node.colour"),
        ("node.labels.==red", "node.labels."),
        ("node.labels.a,b==red", "a,b"),
        ("node.role==boss", "boss"),
        ("node.ip==nowhere", "nowhere"),
        ("node.labels.a==<b>", "<b>"),
        ("node.id==", "node.id=="),
    ],
)
def test_a_wrong_one_is_refused_and_named(text: str, named: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse(text)
    assert named in str(refusal.value)


def test_a_constraint_reads_as_written() -> None:
    assert [str(c) for c in parse_all(("node.ID==a", "node.labels.B!=C d"))] == [
        "node.id == a",
        "node.labels.B != C d",
    ]
