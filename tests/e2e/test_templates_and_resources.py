"""Templates, generic resources and refusals, as people meet them on a cluster."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile

import pytest

from devcluster import members
from tests.support.stand import Stand

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

SHOW = ("sh", "-c", "hostname; env; exec idle")


def logged(stand: Stand, service: str) -> set[str]:
    """The lines that the tasks of a service wrote."""
    return set(stand.covey("service", "logs", "--raw", service).splitlines())


@contextmanager
def zones(stand: Stand, **nodes: str) -> Iterator[None]:
    """Label nodes with a zone, for a while."""
    for node, zone in nodes.items():
        stand.covey("node", "update", "--label-add", f"zone={zone}", node)
    try:
        yield
    finally:
        for node in nodes:
            stand.covey("node", "update", "--label-rm", "zone", node)


def test_templates_are_filled_in_on_each_node_and_names_lead_to_their_tasks(stand: Stand) -> None:
    stand.covey("network", "create", "shop")
    with zones(stand, m1="a", w1="b", w2="c"):
        stand.covey(
            "service", "create", "--name", "db", "--replicas", "3", "--network", "shop", "--label", "com.team=red",
            "--hostname", "db-{{.Task.Slot}}", "--env", "ZONE={{.Node.Labels.zone}}@{{.Node.Hostname}}",
            "--env", 'WHO={{.Service.Name}}/{{index .Service.Labels "com.team"}}',
            "--mount", "type=volume,source=db-{{.Task.Slot}},target=/data", stand.tools, *SHOW,
        )  # fmt: skip
        places = {task.node for task in stand.running("db")}
        zone_of = {"m1": "a", "w1": "b", "w2": "c"}
        lines = {"db-1", "db-2", "db-3", "WHO=db/red", *(f"ZONE={zone_of[node]}@{node}" for node in places)}
        stand.until("what they show", lambda: logged(stand, "db") >= lines)
        assert sum(line.startswith("ZONE=") for line in logged(stand, "db")) == len(places)
        ask = "for n in 1 2 3; do nslookup db-$n >/dev/null && echo found db-$n; done"
        once = ("--restart-condition", "none", "--network", "shop")
        stand.covey("service", "create", "-d", "--name", "client", *once, stand.tools, "sh", "-c", ask)
        found = {f"found db-{number}" for number in (1, 2, 3)}
        stand.until("all names", lambda: logged(stand, "client") >= found)


def test_a_label_that_changes_is_in_containers_made_later(stand: Stand) -> None:
    with zones(stand, m1="old", w1="old", w2="old"):
        stand.covey(
            "service", "create", "--name", "db", "--hostname", "db-{{.Node.Labels.zone}}", stand.tools, *SHOW
        )
        stand.until("the old name", lambda: "db-old" in logged(stand, "db"))
        for node in ("m1", "w1", "w2"):
            stand.covey("node", "update", "--label-add", "zone=new", node)
        stand.covey("service", "update", "--force", "--detach", "db")
        stand.until("the new name", lambda: "db-new" in logged(stand, "db"))


def test_what_comes_of_a_template_and_cannot_be_had_is_said(stand: Stand) -> None:
    stand.covey(
        "service", "create", "-d", "--name", "web", "--restart-condition", "none",
        "--hostname", "web-{{.Node.Labels.nowhere}}", f"{stand.web}:1",
    )  # fmt: skip
    said = "hostname: 'web-{{.Node.Labels.nowhere}}' becomes 'web-', which is not a host name"
    stand.until("the reason", lambda: any(said in task.error for task in stand.tasks("web")))


REFUSED = {
    "hostname: '{{.Task.Slt}}' names .Task.Slt": ("--hostname", "{{.Task.Slt}}"),
    "update-order: 'start-first' needs port 9000 free on one node more than the 1": (
        "--publish", "mode=host,published=9000,target=80", "--update-order", "start-first",
        "--constraint", "node.hostname==w1",
    ),
    "replicas: 7 are more than the 6 that replicas-max-per-node 2 allows on 3 nodes": (
        "--replicas", "7", "--replicas-max-per-node", "2",
    ),
    "max-concurrent: 3 is more than the 2 that are to complete": (
        "--mode", "replicated-job", "--replicas", "2", "--max-concurrent", "3",
    ),
    "--update-order: an update of a replicated-job": ("--mode", "replicated-job", "--update-order", "start-first"),
    "health-interval: '1us' is less than 1ms": ("--health-interval", "1us"),
    "--limit-memory 1m: the least is 4m": ("--limit-memory", "1m"),
    "'-1' is not a whole number from 0": ("--update-parallelism", "-1"),
    "'--update-max-failure-ratio': 1.1 is not": ("--update-max-failure-ratio", "1.1"),
}  # fmt: skip


def test_what_cannot_be_is_refused_and_nothing_is_left_of_it(stand: Stand) -> None:
    for sentence, options in REFUSED.items():
        said = stand.refused("service", "create", "-d", "--name", "bad", *options, f"{stand.web}:1")
        assert sentence in said
    assert "bad" not in stand.covey("service", "ls")


@contextmanager
def offering(stand: Stand, node: str, *resources: str) -> Iterator[None]:
    """Have a node offer other resources: its settings are changed and read again."""
    settings = stand.place.home(node) / "coveyd.toml"
    before = settings.read_text()
    lines = [line for line in before.splitlines() if not line.startswith("generic-resource")]
    settings.write_text("\n".join([*lines, f"generic-resource = {json.dumps(resources)}"]) + "\n")
    _reload(stand, node)
    try:
        yield
    finally:
        settings.write_text(before)
        _reload(stand, node)
        stand.until("the node to offer nothing again", lambda: not offered(stand, node))


def _reload(stand: Stand, node: str) -> None:
    for pid in members.processes_of_module(stand.place, node, "node"):
        os.kill(pid, signal.SIGHUP)


def offered(stand: Stand, node: str) -> list[str]:
    lines = [line.strip() for line in stand.covey("node", "inspect", "--pretty", node).splitlines()]
    below = lines[lines.index("Generic:") + 1 :] if "Generic:" in lines else []
    return [line.removeprefix("- ") for line in takewhile(lambda line: line.startswith("- "), below)]


def test_generic_resources_are_told_to_the_managers_and_handed_out_once(stand: Stand) -> None:
    with offering(stand, "w1", "gpu=A", "gpu=B", "ssd=3"):
        stand.until("the node's word", lambda: offered(stand, "w1") == ["gpu=A", "gpu=B", "ssd=3"])
        stand.covey(
            "service", "create", "--name", "train", "--replicas", "2", "--generic-resource", "gpu=1",
            "--generic-resource", "ssd=1", stand.tools, *SHOW,
        )  # fmt: skip
        assert set(stand.spread("train")) == {"w1"}
        given = {"DOCKER_RESOURCE_GPU=A", "DOCKER_RESOURCE_GPU=B", "DOCKER_RESOURCE_SSD=1"}
        stand.until("what each was given", lambda: logged(stand, "train") >= given)
        stand.covey("service", "scale", "-d", "train=3")
        stand.until("the third to say why", lambda: any("gpu" in task.error for task in stand.tasks("train")))
        stand.covey("service", "rm", "train")
