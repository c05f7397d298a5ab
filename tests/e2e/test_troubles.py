"""Troubles that users and hosts make: each is named where they look, and harms nothing else."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from covey.errors import CoveyError
from covey.io import netns
from devcluster import look, members, namespaces, nodes
from devcluster.fabric import Fabric
from devcluster.place import address_of
from tests.support.stand import Stand

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]


def error_of(stand: Stand, words: str, service: str = "web") -> bool:
    return any(words in task.error for task in stand.tasks(service))


def said_by(stand: Stand, node: str, words: str) -> bool:
    return words in stand.place.log(node).read_text()


def test_a_command_that_is_not_there_ends_the_wait_with_the_reason(stand: Stand) -> None:
    once = ("--restart-condition", "none")
    said = stand.refused("service", "create", "--name", "web", *once, stand.tools, "/no/such")
    assert "exit code 1" in said
    assert "/no/such" in said
    assert "the restart policy lets no other follow" in said
    assert error_of(stand, "/no/such")
    stand.covey("service", "create", "--name", "done", *once, stand.tools, "true")


@contextmanager
def listening(stand: Stand, node: str, port: int) -> Iterator[None]:
    def listen() -> socket.socket:
        return socket.create_server(("0.0.0.0", port))

    with netns.call_inside(stand.place.netns(node), listen):
        yield


def test_ports_that_programs_of_the_host_have(stand: Stand) -> None:
    with listening(stand, "w1", 8081):
        stand.covey(
            "service", "create", "-d", "--name", "web", "--mode", "global", "--restart-delay", "500ms",
            "--publish", "mode=host,published=8081,target=80", f"{stand.web}:1",
        )  # fmt: skip
        stand.until("the reason", lambda: error_of(stand, "port 8081/tcp of this node is taken by"))
        stand.until("the other nodes", lambda: set(stand.spread("web")) == {"m1", "w2"})
        assert stand.answers("w2", 8081)
    stand.until("w1, once it is free", lambda: stand.answers("w1", 8081))
    with listening(stand, "w1", 8082):
        stand.covey("service", "create", "--name", "mesh", "--publish", "8082:80", f"{stand.web}:1")
        stand.until("the warning", lambda: said_by(stand, "w1", "port 8082/tcp is published by a service"))
        stand.until("an answer, as on every node", lambda: stand.answers("w1", 8082))
    said = stand.refused("service", "create", "--name", "again", "--publish", "8082:80", f"{stand.web}:1")
    assert "8082" in said
    assert "mesh" in said


def test_a_firewall_and_a_route_in_the_way_are_named(stand: Stand) -> None:
    inside = partial(namespaces.run, stand.place.netns("w1"))
    drop = "add chain ip theirs forward { type filter hook forward priority 0 ; policy drop ; }"
    try:
        inside(["nft", "add table ip theirs"])
        inside(["nft", drop])
        inside(["ip", "link", "add", "vpn0", "up", "type", "bridge"])
        inside(["ip", "address", "add", "10.200.1.1/16", "dev", "vpn0"])
        stand.covey("network", "create", "--subnet", "10.200.7.0/24", "net1")
        stand.covey(
            "service", "create", "--name", "web", "--mode", "global", "--network", "net1", f"{stand.web}:1"
        )
        stand.until("the firewall", lambda: said_by(stand, "w1", "theirs/forward (ip) drops forwarded"))
        stand.until("the route", lambda: said_by(stand, "w1", "routes 10.200.0.0/16 over vpn0"))
    finally:
        inside(["nft", "delete table ip theirs"])
        inside(["ip", "link", "delete", "vpn0"])
    overlapping = stand.refused("network", "create", "--subnet", "10.200.7.128/25", "net2")
    assert "10.200.7.0/24 of network net1" in overlapping


def test_leaving_and_joining_with_tokens_of_all_kinds(stand: Stand) -> None:
    manager = f"{address_of('m1')}:2377"
    stand.covey("service", "create", "--name", "web", "--replicas", "3", f"{stand.web}:1")
    token = stand.covey("join-token", "-q", "worker").strip()
    before = stand.covey("node", "ls", "-q", "--filter", "name=w2").split()
    try:
        stand.covey("leave", node="w2")
        stand.until("tasks elsewhere", lambda: stand.spread("web").total() == 3)
        assert "w2" not in stand.spread("web")
        assert "w2" not in look.ready(stand.place), "it said so itself"
        head, digest, secret = token.rsplit("-", 2)
        for wrong, words in (
            ("COVEY-1", "token is damaged"),
            (f"{head}-{digest}-{secret[::-1]}", "wrong or was replaced"),
            (f"{head}-{digest[::-1]}-{secret}", "not for the cluster at"),
        ):
            with pytest.raises(CoveyError, match=words):
                stand.covey("join", "--token", wrong, manager, node="w2")
        assert said_by(stand, "m1", f"{address_of('w2')} was refused a certificate")
        stand.covey("join-token", "--rotate", "-q", "worker")
        with pytest.raises(CoveyError, match="wrong or was replaced"):
            stand.covey("join", "--token", token, manager, node="w2")
        for id in before:
            stand.covey("node", "rm", id)
    finally:
        fresh = stand.covey("join-token", "-q", "worker").strip()
        stand.covey("join", "--token", fresh, manager, node="w2")
    stand.until("w2", lambda: "w2" in look.ready(stand.place))
    stand.covey("service", "update", "--force", "web")
    stand.until("tasks on w2", lambda: stand.spread("web")["w2"] == 1)


@contextmanager
def small_disk(stand: Stand, node: str, size: str) -> Iterator[None]:
    """A node whose state is on a small disk for a while. What it had pulled is left behind."""
    place, kept = stand.place, stand.place.home(node) / "kept"
    nodes.power_loss(place, node)
    Fabric(place).plug(node)
    members.start(place, node, ["sleep", "600"])  # so that boot finds a host that is on
    place.state(node).rename(kept)
    place.state(node).mkdir()
    try:
        argv = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place.state(node))]
        subprocess.run(argv, check=True, timeout=30)
        heavy = shutil.ignore_patterns("images", "containers", "volumes")
        shutil.copytree(kept, place.state(node), dirs_exist_ok=True, ignore=heavy)
        stand.power_on()
        yield
    finally:
        nodes.power_loss(place, node)
        shutil.rmtree(place.state(node))
        kept.rename(place.state(node))


def fill(stand: Stand, node: str) -> None:
    """Take the rest of the disk."""
    with (stand.place.state(node) / "much").open("wb", buffering=0) as much:
        for size in (1 << 20, 1 << 12):
            try:
                while much.write(bytes(size)) == size:
                    pass
            except OSError:
                continue


def empty(stand: Stand, node: str) -> None:
    (stand.place.state(node) / "much").unlink()


def test_a_full_disk_of_an_agent(stand: Stand) -> None:
    here = ("--constraint", "node.hostname==w2")
    with small_disk(stand, "w2", "40m"):
        stand.covey("service", "create", "--name", "before", *here, f"{stand.web}:1")
        fill(stand, "w2")
        stand.covey("service", "create", "-d", "--name", "web", *here, f"{stand.web}:1")
        stand.covey("service", "create", "-d", "--name", "other", *here, f"{stand.web}:2")
        stand.until("the reason", lambda: error_of(stand, "No space left on device"))
        stand.until("the reason", lambda: error_of(stand, "disk that holds images is full", "other"))
        nodes.kill_process(stand.place, "w2", "agent")
        stand.until("the agent", lambda: members.processes_of_module(stand.place, "w2", "agent"))
        assert len(stand.running("before")) == 1
        stand.covey("service", "rm", "before")  # also what a full disk is emptied by
        stand.until("its end", lambda: "before" not in look.services(stand.place))
        empty(stand, "w2")
        for service in ("web", "other"):
            stand.until(service, lambda service=service: len(stand.running(service)) == 1)  # type: ignore[misc]
        stand.covey("service", "rm", "web", "other")


def test_a_full_disk_of_a_manager(stand: Stand) -> None:
    stand.covey(
        "service", "create", "--name", "web", "--publish", "8080:80", "--mode", "global", f"{stand.web}:1"
    )
    with small_disk(stand, "m1", "40m"):
        fill(stand, "m1")
        made, refusal = {"web"}, ""
        for number in range(50):
            name, much = f"s{number}", "x" * 50_000
            try:
                stand.covey(
                    "service", "create", "-d", "--name", name, "--replicas", "0", "--env", f"A={much}", f"{stand.web}:1"
                )  # fmt: skip
            except CoveyError as error:
                refusal = str(error)
                break
            made.add(name)
        assert "no space left" in refusal
        assert "log.db" in refusal
        assert look.services(stand.place) == made, "reading goes on"
        # the task on the full disk may hang, and whose turn it is nobody knows
        stand.until("an answer: traffic goes on", lambda: stand.answers("w1", 8080))
        before = managers(stand)
        nodes.kill_process(stand.place, "m1", "manager")
        stand.until("the next manager", lambda: managers(stand) not in ([], before))
        stand.until("an answer, also now", lambda: stand.answers("w1", 8080))
        empty(stand, "m1")  # to lead, it must write; whether there was room for so little is chance
        stand.until("the manager", lambda: look.ready(stand.place))
        assert look.services(stand.place) == made
        stand.until("room", lambda: attempted(stand, "last"))
        assert look.services(stand.place) == {*made, "last"}
        stand.sweep()


def managers(stand: Stand) -> list[int]:
    return members.processes_of_module(stand.place, "m1", "manager")


def attempted(stand: Stand, name: str) -> bool:
    try:
        stand.covey("service", "create", "-d", "--name", name, "--replicas", "0", f"{stand.web}:1")
    except CoveyError:
        return False
    return True
