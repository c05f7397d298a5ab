"""The main job: services on real containers across nodes, found by name and by port, scaled, updated, removed."""

from functools import partial

import pytest

from devcluster import cgroups, look, members
from tests.support.stand import ANSWER, Stand

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]


def create_web(stand: Stand, name: str = "web", replicas: int = 6, *more: str) -> None:
    stand.covey("network", "create", "net1")
    stand.covey(
        "service", "create", "--name", name, "--replicas", str(replicas), "--network", "net1",
        "--publish", "8080:80", *more, f"{stand.web}:1",
    )  # fmt: skip
    stand.until(f"{replicas} running tasks", lambda: len(stand.running(name)) == replicas)


def test_the_main_job(stand: Stand) -> None:
    create_web(stand)
    assert stand.spread("web") == {"m1": 2, "w1": 2, "w2": 2}

    # By name, from a container on each node.
    ask = "while :; do curl -s --max-time 2 http://web/; sleep 0.2; done"
    stand.covey(
        "service",
        "create",
        "--name",
        "client",
        "--stop-grace-period",
        "1s",
        "--mode",
        "global",
        "--network",
        "net1",
        stand.tools,
        "sh",
        "-c",
        ask,
    )

    def reached() -> set[tuple[str, str]]:
        lines = stand.covey("service", "logs", "client").splitlines()
        return {
            (line.split("|")[0].split("@")[-1].strip(), match[3])
            for line in lines
            if (match := ANSWER.search(line))
        }

    everywhere = {(source, target) for source in stand.asked.nodes for target in stand.asked.nodes}
    stand.until("each node's client to reach each node's tasks", lambda: reached() >= everywhere)

    # By port, on every node, from a client that is no node and from the nodes themselves.
    for node in stand.asked.nodes:
        stand.until(f"port 8080 of {node}", partial(stand.answers, node, 8080))
        assert ANSWER.search(stand.curl(node, 8080, member=node)), f"{node} does not reach its own port"

    stand.covey("service", "scale", "web=2")
    stand.until("2 running tasks", lambda: len(stand.running("web")) == 2)
    stand.covey("service", "update", "--image", f"{stand.web}:2", "web")
    stand.until("version 2", lambda: all("version=2" in stand.curl(node, 8080) for node in stand.asked.nodes))

    stand.covey("service", "rm", "web")
    stand.until("port 8080 to close", lambda: not any(stand.curl(node, 8080) for node in stand.asked.nodes))
    for node in stand.asked.nodes:
        tasks = f"{stand.place.cgroup(node)}/{members.tasks_group}"
        stand.until(f"{node}'s containers to end", partial(few_processes, tasks))


def few_processes(group: str) -> bool:
    """Whether at most the client's are left."""
    return len(cgroups.processes(group)) <= 4


def test_bad_input_is_refused_and_nothing_is_stored(stand: Stand) -> None:
    for words, arguments in (
        ("Not A Name", ["service", "create", "--name", "Not A Name", f"{stand.web}:1"]),
        ("70000", ["service", "create", "--name", "a", "--publish", "70000:80", f"{stand.web}:1"]),
        ("UPPER:1", ["service", "create", "--name", "a", "UPPER:1"]),
        ("none-such", ["service", "create", "--name", "a", "--network", "none-such", f"{stand.web}:1"]),
        (
            "node.nonsense",
            ["service", "create", "--name", "a", "--constraint", "node.nonsense==1", f"{stand.web}:1"],
        ),
        ("none-such", ["service", "rm", "none-such"]),
        ("none-such", ["node", "inspect", "none-such"]),
    ):
        assert words in stand.refused(*arguments)
    assert not look.services(stand.place)


def test_an_image_that_is_not_there(stand: Stand) -> None:
    image = f"{stand.place.registry}/demo/none-such:1"
    stand.covey("service", "create", "-d", "--name", "web", image)
    stand.until("a rejected task", lambda: any("none-such" in task.error for task in stand.tasks("web")))
