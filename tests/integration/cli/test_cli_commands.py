"""The `covey` command as a process, against a real control API."""

import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.cli_command import BOUND_S, covey, listed, start
from tests.support.cli_stand import TOKEN, CliStand
from tests.support.leftovers import prefix


@pytest.fixture(scope="module")
def stand() -> Iterator[CliStand]:
    # Not pytest's folder: a unix socket's path has at most 107 bytes.
    with TemporaryDirectory(prefix=f"{prefix()}-cli-") as folder, CliStand(Path(folder)) as made:
        yield made


def test_a_services_life(stand: CliStand) -> None:
    out, _ = covey(
        stand, "service", "create", "--name", "life", "--replicas", "3", "-p", "8080:80", "nginx:1", "arg"
    )
    service_id = out.splitlines()[0]
    assert re.fullmatch("[0-9a-z]{25}", service_id)
    assert "overall progress: 3 out of 3 tasks\nverify: Service life converged" in out

    assert service_id in covey(stand, "service", "ls", "-q")[0].split()
    (row,) = listed(stand, "service", "ls", "--filter", "name=life")
    assert (row["name"], row["mode"], row["running"], row["desired"]) == ("life", "replicated", 3, 3)
    assert "*:8080->80/tcp" in covey(stand, "service", "ls")[0]

    assert "3 out of 3" not in covey(stand, "service", "scale", "life=5")[0]
    out, _ = covey(
        stand,
        "service",
        "update",
        "--image",
        "nginx:2",
        "--env-add",
        "A=1",
        "--update-parallelism",
        "0",
        "life",
    )
    assert "verify: Service life converged" in out
    running = listed(stand, "service", "ps", "life", "--filter", "desired-state=running")
    assert sorted(task["name"] for task in running) == [f"life.{slot}" for slot in range(1, 6)]
    assert {task["node"] for task in running} == {"m1", "w1"}

    (shown,) = json.loads(covey(stand, "service", "inspect", service_id[:12])[0])
    container = shown["revision"]["spec"]["task"]["container"]
    assert (container["image"], container["args"], container["env"]) == ("nginx:2", ["arg"], ["A=1"])
    assert container["image_digest"].startswith("sha256:")

    out, err = covey(stand, "service", "rm", "life", "nosuch", code=1)
    assert out == "life\n"
    assert err == "Error: there is no service 'nosuch'; `covey service ls` lists them\n"


def test_networks(stand: CliStand) -> None:
    network_id = covey(stand, "network", "create", "--subnet", "10.99.0.0/24", "--label", "a=b", "net1")[
        0
    ].strip()
    assert network_id in covey(stand, "network", "ls", "-q")[0]
    covey(stand, "service", "create", "-q", "--name", "user", "--network", "name=net1,alias=x", "img:1")
    _, err = covey(stand, "network", "rm", "net1", code=1)
    assert "in use by user" in err
    covey(stand, "service", "update", "-q", "--network-rm", "net1", "user")
    _, err = covey(stand, "service", "update", "-q", "--network-rm", "net1", "user", code=1)
    assert "--network-rm net1: the service is not on this network" in err
    covey(stand, "service", "rm", "user")
    (shown,) = json.loads(covey(stand, "network", "inspect", "net1")[0])
    assert shown["network"]["spec"]["labels"] == {"a": "b"}


def test_networks_in_detail_and_pruned(stand: CliStand) -> None:
    aux = ("--aux-address", "router=10.98.0.7", "--opt", "com.docker.network.driver.mtu=1400")
    covey(stand, "network", "create", "--subnet", "10.98.0.0/24", *aux, "busy")
    covey(stand, "network", "create", "--label", "ci", "spare")
    covey(stand, "service", "create", "-q", "--name", "on", "--network", "name=busy,alias=x", "img:1")
    (shown,) = json.loads(covey(stand, "network", "inspect", "--verbose", "busy")[0])
    assert shown["network"]["subnets"][0]["reserved"] == {"router": "10.98.0.7"}
    assert shown["version"] == {"epoch": 1, "index": 9}
    assert all(node["behind_entries"] in (2, -1) for node in shown["nodes"])
    assert [service["name"] for service in shown["services"]] == ["on"]
    said = covey(stand, "service", "inspect", "--pretty", "on")[0]
    assert "- target busy, aliases x" in said
    assert "- network id busy, address 10.98.0." in said
    assert "Service on (vip), at 10.98.0." in covey(stand, "network", "inspect", "-v", "--pretty", "busy")[0]

    names = [row["spec"]["name"] for row in listed(stand, "network", "ls")]
    assert {"bridge", "host", "none", "busy", "ingress"} <= set(names)
    spare = listed(stand, "network", "ls", "--filter", "dangling=true", "--filter", "label=ci")
    assert [row["spec"]["name"] for row in spare] == ["spare"]
    _, err = covey(stand, "network", "prune", code=130)
    assert "removes all networks that no service uses" in err
    assert covey(stand, "network", "prune", "-f", "--filter", "label=ci")[0] == "spare\n"
    _, err = covey(stand, "network", "rm", "host", "spare", code=1)
    assert "every node has it" in err
    assert "there is no network 'spare'" in err
    assert covey(stand, "network", "rm", "-f", "spare")[0] == ""
    covey(stand, "service", "rm", "on")


def test_nodes(stand: CliStand) -> None:
    assert {node["description"]["hostname"] for node in listed(stand, "node", "ls")} == {"m1", "w1"}
    assert " * " in covey(stand, "node", "ls")[0].splitlines()[1]
    covey(stand, "node", "update", "--label-add", "disk=ssd", "w1")
    assert "disk=ssd" in covey(stand, "node", "inspect", "--pretty", "w1")[0]
    assert listed(stand, "node", "ls", "--filter", "node.label=disk=ssd", "--filter", "role=worker")
    assert not listed(stand, "node", "ls", "--filter", "node.label=disk=hdd")
    assert not listed(
        stand, "node", "ls", "--filter", "label=disk=ssd"
    )  # that is for what hosts say themselves
    assert covey(stand, "node", "inspect", "self")[0]
    _, err = covey(stand, "node", "rm", "w1", code=1)
    assert "not down" in err


def test_membership(stand: CliStand) -> None:
    assert covey(stand, "join-token", "-q", "worker")[0].strip() == TOKEN
    assert "To add a manager" in covey(stand, "join-token", "manager")[0]
    out, _ = covey(stand, "init", "--availability", "drain")
    assert f"covey join --token {TOKEN} 192.0.2.1:2377" in out
    assert "joined a cluster as a worker" in covey(stand, "join", "--token", TOKEN, "192.0.2.1")[0]
    assert "use --force" in covey(stand, "leave", code=1)[1]
    covey(stand, "leave", "--force")
    assert "Server: 9.9" in covey(stand, "version")[0]
    out, _ = covey(stand, "info")
    assert "Role: manager" in out
    assert "Nodes: 2 (2 ready, 1 managers)" in out


def test_a_silent_registry_is_a_warning(stand: CliStand) -> None:
    _, err = covey(stand, "service", "create", "-d", "--name", "silent", "silent.example/img:1")
    assert err.startswith("Warning: silent.example does not answer")
    covey(stand, "service", "rm", "silent")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("service create --name bad_ img", "'bad_' is not a name"),
        ("service create --name x --network nosuch img", "there is no network 'nosuch'"),
    ],
)
def test_refusals_name_the_value(stand: CliStand, words: str, says: str) -> None:
    out, err = covey(stand, *words.split(), code=1)
    assert says in err
    assert "Traceback" not in err
    assert not out


def test_no_coveyd_is_another_exit_code() -> None:
    for words in ("info", "service ls", "init"):
        _, err = covey(None, *words.split(), code=3)
        assert err.startswith("Error: no coveyd listens at /nonexistent/covey.sock; start it")
    assert "Server: not reached" in covey(None, "version")[0]


def test_a_host_without_a_manager_says_so(tmp_path: Path) -> None:
    with TemporaryDirectory(prefix=f"{prefix()}-") as folder, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{folder}/covey.sock")
        listening.listen()
        _, err = covey(None, "-H", f"unix://{folder}/covey.sock", "service", "ls", code=1)
    assert err.startswith("Error: this node is not a manager")


def test_an_interrupt_leaves_the_service_alone(stand: CliStand) -> None:
    process = start(stand, "service", "create", "--name", "broken", "broken:1", PYTHONUNBUFFERED="1")
    assert process.stdout is not None
    shown = [process.stdout.readline() for _ in range(3)]
    assert shown[1:] == ["overall progress: 0 out of 1 tasks\n", "task 1: it is broken\n"]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=BOUND_S)
    assert process.returncode == 130
    assert "`covey service ps broken` shows how far it is" in err
    assert listed(stand, "service", "ps", "broken")[-1]["task"]["status"]["err"] == "it is broken"
    covey(stand, "service", "rm", "broken")


def test_output_may_be_cut_off(stand: CliStand) -> None:
    process = start(stand, "node", "ls", "--format", "json", PYTHONUNBUFFERED="1")
    assert process.stdout is not None
    process.stdout.close()
    deadline = time.monotonic() + BOUND_S
    while process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def test_updates_that_come_together_are_all_made(stand: CliStand) -> None:
    covey(stand, "service", "create", "-q", "--name", "busy", "--replicas", "2", "img:1")
    keys = ("a", "b", "c")
    running = [start(stand, "service", "update", "-d", "--label-add", f"{key}=1", "busy") for key in keys]
    running.append(start(stand, "service", "scale", "-d", "busy=3"))
    for process in running:
        _, err = process.communicate(timeout=BOUND_S)
        assert process.returncode == 0, err
    (shown,) = json.loads(covey(stand, "service", "inspect", "busy")[0])
    assert set(shown["revision"]["spec"]["labels"]) == set(keys)
    assert shown["revision"]["spec"]["mode"]["replicas"] == 3
    covey(stand, "service", "rm", "busy")


def test_create_waits_on_though_somebody_changes_the_service(stand: CliStand) -> None:
    creating = start(
        stand, "service", "create", "-q", "--name", "late", "--constraint", "node.labels.late==1", "img:1"
    )
    deadline = time.monotonic() + BOUND_S
    while "late" not in covey(stand, "service", "ls")[0]:
        assert time.monotonic() < deadline
    covey(stand, "service", "update", "-d", "--label-add", "x=y", "late")
    covey(stand, "node", "update", "--label-add", "late=1", "w1")
    _, err = creating.communicate(timeout=BOUND_S)
    assert creating.returncode == 0, err
    covey(stand, "service", "rm", "late")


def test_what_was_replaced_of_the_image_can_be_given_back(stand: CliStand) -> None:
    covey(stand, "service", "create", "-d", "--name", "back", "--entrypoint", "/run --it", "img:1", "arg")
    covey(stand, "service", "update", "-d", "--args", "", "--entrypoint", "", "back")
    (shown,) = json.loads(covey(stand, "service", "inspect", "back")[0])
    container = shown["revision"]["spec"]["task"]["container"]
    assert (container["command"], container["args"]) == ([], [])
    covey(stand, "service", "rm", "back")


def test_tasks_of_several_services(stand: CliStand) -> None:
    for name in ("one", "two"):
        covey(stand, "service", "create", "-q", "--name", name, "img:1")
    assert len(listed(stand, "service", "ps", "one", "two", "one")) == 2
    out, err = covey(stand, "service", "ps", "one", "nosuch", code=1)
    assert "one.1" in out
    assert "there is no service 'nosuch'" in err
    assert len(covey(stand, "node", "ps", "-q", "w1", "m1", "w1")[0].split()) >= 2
    for name in ("one", "two"):
        covey(stand, "service", "rm", name)
