"""`covey system audit` on a cluster: clean whatever people do with it, dirty once somebody meddles, clean again."""

import contextlib
import json
import threading
from collections import Counter
from pathlib import Path

import pytest

from agent.runtime.oci.mounts import mount
from covey.errors import CoveyError
from devcluster import namespaces, nodes
from tests.support import traces
from tests.support.stand import Stand

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

GONE = "gone0gone0gone0gone0gone0"
MEDDLED = [
    (kind, "w1")
    for kind in ("DNS", "VIP", "address", "container", "container", "mount", "namespace", "route")
]


def audit(stand: Stand, *options: str) -> str:
    """What an audit that finds nothing prints."""
    return stand.covey("system", "audit", *options)


@pytest.fixture(autouse=True)
def connected(stand: Stand) -> None:
    """Nodes are ready to the managers for a while before their agents have called again."""
    stand.until("every agent to have called", lambda: "Nothing amiss on 3 nodes" in tried(stand))


def tried(stand: Stand) -> str:
    with contextlib.suppress(CoveyError):
        return audit(stand)
    return ""


def kinds(stand: Stand, *options: str, node: str = "") -> list[tuple[str, str]]:
    """Which kinds of things are amiss, and on which node."""
    words = stand.refused("system", "audit", "--format", "json", *options, node=node)
    assert "exit code 1" in words
    (told,) = json.loads(words[words.index("[") :])
    found = [
        (each["kind"], node["hostname"]) for node in told["nodes"] for each in node["report"]["findings"]
    ]
    assert not (told["managers"] or {}).get("findings")
    return sorted(found)


def counts(stand: Stand, node: str) -> dict[str, int]:
    """What a node says of its last audit, by kind."""
    told = json.loads(stand.covey("node", "inspect", node))[0]["description"]["audit"]
    assert told["at"]
    return {each["kind"]: each["number"] for each in told["counts"]}


def test_nothing_is_amiss_whatever_people_do(stand: Stand) -> None:
    assert "Nothing amiss on 3 nodes" in audit(stand)
    stand.covey("network", "create", "shop")
    made = ("--name", "web", "--replicas", "5", "--network", "shop", "--publish", "8086:80")
    stand.covey("service", "create", *made, f"{stand.web}:1")
    assert "Nothing amiss on 3 nodes" in audit(stand)
    stand.covey("service", "update", "--image", f"{stand.web}:2", "--update-parallelism", "2", "web")
    assert "Nothing amiss on 3 nodes" in audit(stand)
    stand.covey("service", "scale", "web=2")
    assert "Nothing amiss on 1 node" in audit(stand, "--node", "w1")
    stand.covey("service", "rm", "web")
    stand.until("nothing of any task to be left", lambda: not stand.remains())
    assert "Nothing amiss on 3 nodes" in audit(stand)


def test_what_is_under_way_is_no_finding(stand: Stand) -> None:
    stand.covey("service", "create", "--name", "web", "--publish", "8087:80", f"{stand.web}:1")
    over = threading.Event()

    def churn() -> None:
        for number in (8, 1, 6, 2):
            stand.covey("service", "scale", f"web={number}")
        over.set()

    changing = threading.Thread(target=churn)
    changing.start()
    while not over.is_set():
        assert "Nothing amiss on 3 nodes" in audit(stand)
        assert changing.is_alive() or over.is_set()
    changing.join()


def test_what_somebody_meddled_with_is_found_and_put_right(stand: Stand) -> None:
    stand.covey("network", "create", "shop")
    made = ("--name", "web", "--replicas", "3", "--network", "shop", "--publish", "8088:80")
    stand.covey("service", "create", *made, f"{stand.web}:1")
    before = {task.id for task in stand.running("web")}
    meddle(stand)
    assert kinds(stand) == MEDDLED
    assert kinds(stand) == MEDDLED, "looking changes nothing"
    expected = dict(Counter(kind for kind, _ in MEDDLED))
    stand.until("the node's counts", lambda: counts(stand, "w1") == expected)

    assert f"{len(MEDDLED)} repaired, 0 amiss on 3 nodes" in audit(stand, "--repair")
    assert "Nothing amiss on 3 nodes" in audit(stand)
    stand.until("the node's counts", lambda: counts(stand, "w1") == {})
    assert {task.id for task in stand.running("web")} == before
    assert stand.answers("w1", 8088)


def test_a_node_that_no_manager_answers_is_audited_by_itself_and_put_right(stand: Stand) -> None:
    stand.covey("network", "create", "shop")
    made = ("--name", "web", "--replicas", "3", "--network", "shop", "--publish", "8089:80")
    stand.covey("service", "create", *made, f"{stand.web}:1")
    (before,) = (task.id for task in stand.running("web") if task.node == "w1")
    nodes.power_loss(stand.place, "m1")
    assert "Nothing amiss on 1 node (" in local(stand)
    meddle(stand)
    assert kinds(stand, "--local", node="w1") == MEDDLED
    assert kinds(stand, "--local", node="w1") == MEDDLED, "looking changes nothing"
    assert f"{len(MEDDLED)} repaired, 0 amiss on 1 node" in local(stand, "--repair")
    assert "Nothing amiss on 1 node (" in local(stand)

    nodes.kill_process(stand.place, "w1", "agent")  # the next one knows all of it from its disk
    stand.until("the agent to answer again", lambda: "Nothing amiss on 1 node (" in tried_locally(stand))
    nodes.boot(stand.place, "m1")
    stand.until("every agent to have called", lambda: "Nothing amiss on 3 nodes" in tried(stand))
    assert before in {task.id for task in stand.running("web")}
    assert stand.answers("w1", 8089)


def local(stand: Stand, *options: str) -> str:
    """What an audit prints that finds nothing, and asks nobody but the node's own coveyd."""
    return stand.covey("system", "audit", "--local", *options, node="w1")


def tried_locally(stand: Stand) -> str:
    with contextlib.suppress(CoveyError):
        return local(stand)
    return ""


def meddle(stand: Stand) -> None:
    run, state = stand.place.run("w1"), stand.place.state("w1")
    (task,) = traces.containers(stand.place, "w1")
    inside = run / "netns" / task
    for command in (
        "ip addr add 10.9.9.9/24 dev eth0",
        "ip route del default",
        "nft delete table ip covey_vip",
        "nft delete table ip covey_dns",
    ):
        namespaces.run(inside, command.split())
    namespaces.create(run / "netns" / "nobody")
    rootfs: Path = state / "containers" / GONE / "rootfs"
    rootfs.mkdir(parents=True)
    mount("none", rootfs, "tmpfs")
    (run / "runtime" / GONE).mkdir()


def test_a_node_that_cannot_be_asked_is_named(stand: Stand) -> None:
    nodes.power_loss(stand.place, "w2")
    words = stand.refused("system", "audit")
    assert "exit code 2" in words
    assert "Not answered: w2" in words
    assert "Nothing amiss on 2 nodes" in words
