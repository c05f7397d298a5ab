"""Templates say what Go's would, as far as Covey has them; every fault is named with the remedy."""

import pytest

from covey.errors import InvalidArgument
from covey.model import template
from covey.model.objects import Node, NodeDescription, Task
from covey.model.specs import NodeSpec, Platform, ServiceMode, ServiceSpec
from covey.model.states import ServiceModeKind
from covey.model.template import Facts

FACTS = Facts(
    service_id="s1",
    service_name="web",
    service_labels={"team": "red", "a.b": "dotted"},
    node_id="n1",
    node_hostname="host1",
    node_os="linux",
    node_architecture="amd64",
    node_labels={"disk": "/srv/ssd"},
    task_id="t1",
    task_name="web.3.t1",
    task_slot="3",
)

SOUND = {
    "": "",
    "plain }} text": "plain }} text",
    "web-{{.Task.Slot}}": "web-3",
    "{{.Service.ID}} {{.Service.Name}} {{.Node.ID}}": "s1 web n1",
    "{{ .Node.Hostname }}/{{\t.Node.Platform.OS\n}}/{{.Node.Platform.Architecture}}": "host1/linux/amd64",
    "{{.Task.ID}} {{.Task.Name}}": "t1 web.3.t1",
    "{{.Service.Labels.team}}": "red",
    '{{index .Service.Labels "a.b"}}': "dotted",
    "{{index .Node.Labels `disk`}}/{{.Task.Slot}}": "/srv/ssd/3",
    "<{{.Service.Labels.none}}{{index .Node.Labels \"none\"}}>": "<>",
    "a  {{- .Task.Slot -}}\n b": "a3b",
    "a {{- .Task.Slot }} b": "a3 b",
    "a {{ .Task.Slot -}} b": "a 3b",
    "a {{- .Task.Slot -}} {{- .Task.Slot -}} b": "a33b",
    '{{"  " -}}  x': "  x",
    '{{"{{"}}.Task.Slot}}': "{{.Task.Slot}}",
    '{{"}}"}}': "}}",
    "{{`a\\n\"}}`}}": 'a\\n"}}',
    r'{{"\"\\\t\x41\u00e9\U0001F600\101"}}': '"\\\tAé😀A',
    "a{{/* of no account }} */}}b": "ab",
    "a {{- /* trims */ -}} b": "ab",
    "{ {.Task.Slot} }": "{ {.Task.Slot} }",
}  # fmt: skip

UNSOUND = {
    "{{.Task.Slt}}": "names .Task.Slt, which does not exist; there are .Service.ID, .Service.Name",
    "{{.Task.slot}}": "names .Task.slot, which does not exist",
    "{{.Task}}": "names .Task, which does not exist",
    "{{.Service.Labels}}": "names all of .Service.Labels; name one of them: .Service.Labels.NAME",
    "{{.Node.Labels.a.b}}": 'whose key has dots in it; write index .Node.Labels "a.b"',
    "{{.Task.Slot": "does not end what '{{.Task.Slot' begins; close it with }}",
    "x {{": "does not end what '{{' begins",
    "{{.Task.Slot}": "has '}' in an action, which is not understood",
    "{{}}": "has empty braces; use one of .Service.ID",
    '{{env "HOME"}}': "calls 'env', and there are no functions but index",
    "{{.Task.Slot | upper}}": "has '| upper}}' in an action",
    "{{-.Task.Slot}}": "has '-.Task.Slo' in an action",
    "{{.Task.Slot-}}": "has '-}}' in an action",
    '{{"a" "b"}}': "has several values in one pair of braces",
    '{{index .Task.Name "x"}}': "takes an index of .Task.Name; there is one of .Service.Labels and .Node.Labels",
    "{{index .Node.Labels}}": 'has an index that is not like index .Service.Labels "NAME"',
    r'{{"\q"}}': r"has the escape '\\q', which no text can hold",
    r'{{"\ud800"}}': "which no text can hold",
    r'{{"\xff"}}': "which no text can hold",
    '{{"open}}': "has '\"open}}' in an action",
    "{{/* open }}": "has '/* open }}' in an action",
    "{{/* a */ .Task.Slot}}": "has a comment that does not end its action",
}


@pytest.mark.parametrize("text", SOUND)
def test_a_template_is_filled_in_as_go_does(text: str) -> None:
    template.check("hostname", text)
    assert template.expand("hostname", text, FACTS) == SOUND[text]


@pytest.mark.parametrize("text", UNSOUND)
def test_a_fault_is_named_with_the_field_and_the_remedy(text: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        template.check("env", text)
    assert UNSOUND[text] in str(refusal.value)
    assert str(refusal.value).startswith(f"env: {text!r} ")
    with pytest.raises(InvalidArgument):
        template.expand("env", text, FACTS)


def test_a_long_text_is_shown_by_its_beginning() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        template.check("env", "x" * 10_000 + "{{")
    assert len(str(refusal.value)) < 300


def test_facts_are_those_of_the_tasks_own_revision_and_node() -> None:
    spec = ServiceSpec(name="web", labels={"team": "red"})
    task = Task(id="t1", service_id="s1", slot=3, node_id="n1")
    described = NodeDescription(hostname="host1", platform=Platform("linux", "amd64"))
    node = Node(id="n1", spec=NodeSpec(labels={"disk": "/srv/ssd"}), description=described)
    facts = template.facts_of(spec, task, node)
    assert facts.task_name == "web.3.t1"
    text = "{{.Service.ID}} {{.Service.Labels.team}} {{.Node.Hostname}} {{.Node.Labels.disk}} {{.Task.Slot}}"
    assert template.expand("env", text, facts) == "s1 red host1 /srv/ssd 3"


def test_the_slot_of_a_task_that_every_node_has_is_its_node() -> None:
    spec = ServiceSpec(name="web", mode=ServiceMode(kind=ServiceModeKind.GLOBAL))
    facts = template.facts_of(spec, Task(id="t1", node_id="n1"), Node(id="n1"))
    assert template.expand("hostname", "web-{{.Task.Slot}}", facts) == "web-n1"
