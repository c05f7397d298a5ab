"""A bed of three hosts: network namespaces on one fabric bridge, the real driver running inside each.

The hosts have addresses of both families; the networks have IPv4's, unless the bed is asked for others.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from agent.network.seam import Attachment, Sandbox
from covey.io import netns
from covey.model.addressing import addresses_of, is_ipv6
from covey.model.objects import ClusterVersion, Endpoint, Network, Subnet
from covey.model.specs import NetworkSpec, PortConfig
from covey.model.states import Affinity, EndpointState, Protocol, PublishMode
from covey.model.tables import EndpointRow, NetworkTable, ServiceRow
from tests.support.network_traffic import Server

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NOBODY: Mapping[str, tuple[int, int]] = {}
OUTSIDE, OUTSIDE_IPV6 = "192.0.2.200", "fd00:c0de::200"
VIP, VIP_IPV6 = "10.7.0.200", "fd07::a07:c8"
PUBLISHED = 8080
NET = Network(id="n" * 25, spec=NetworkSpec(name="net1"), vni=5001, subnets=(Subnet(cidr="10.7.0.0/24"),))
INGRESS = Network(
    id="i" * 25,
    spec=NetworkSpec(name="ingress", ingress=True),
    vni=5000,
    subnets=(Subnet(cidr="10.255.0.0/16"),),
)
IPV6_SUBNETS = {NET.id: Subnet(cidr="fd07::/64"), INGRESS.id: Subnet(cidr="fd0f::/64")}
PORTS = (
    PortConfig(target_port=80, published_port=PUBLISHED),
    PortConfig(target_port=80, published_port=PUBLISHED, protocol=Protocol.UDP),
)

# What a host booted with ipv6.disable=1 shows: no such settings.
WITHOUT_IPV6 = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc/sys/net/ipv6 && exec "$0" "$@"')
HOST_PORTS = (PortConfig(target_port=80, published_port=9000, publish_mode=PublishMode.HOST),)  # t2's


def run_in(path: Path, *command: str) -> str:
    done = subprocess.run(
        ["nsenter", f"--net={path}", *command], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class Host:
    """One host: its namespace, and the process that runs the driver in it."""

    def __init__(self, bed: "Bed", number: int) -> None:
        self.bed = bed
        self.node_id = f"node{number}"
        self.address = f"192.0.2.{number}"
        self.path = bed.directory / f"h{number}"
        self.netns_dir = bed.directory / f"run{number}" / "netns"
        self.log = bed.directory / f"log{number}"
        self.ingress = f"10.255.0.{number + 1}"
        self.ipv6 = f"fd00:c0de::{number}"
        self.sandboxes: dict[str, Sandbox] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.keeps = True  # the client's address, in the mesh
        self.has_ipv6 = True  # as the agent sees it
        self.restores = False  # tables that somebody takes away

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "nsenter",
                    f"--net={self.path}",
                    *([] if self.has_ipv6 else WITHOUT_IPV6),
                    sys.executable,
                    str(HERE / "network_host.py"),
                    str(self.netns_dir),
                    self.node_id,
                    self.address,
                    "keeps" if self.keeps else "masquerades",
                    "restores" if self.restores else "audits",
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

    def said(self) -> str:
        """What the driver has logged."""
        return self.log.read_text()

    def stop(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(10)
            assert self.process.stdin
            assert self.process.stdout
            with contextlib.suppress(BrokenPipeError):  # of what it was asked as it died
                self.process.stdin.close()
            self.process.stdout.close()
            self.process = None
            print(self.said())

    def call(self, method: str, **arguments: object) -> float:
        """Have the driver do something; returns how many milliseconds it took."""
        self.ask(method, **arguments)
        return self.took_ms

    def ask(self, method: str, **arguments: object) -> str:
        assert self.process
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(msgspec.json.encode({"method": method, **arguments}) + b"\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], 30)
        assert ready, f"{self.node_id} did not answer {method} in 30 s"
        answer = msgspec.json.decode(self.process.stdout.readline())
        assert not answer["error"], answer["error"]
        self.took_ms = float(answer["ms"])
        return str(answer["result"])

    def reconcile(self, processes: Mapping[str, tuple[int, int]] = NOBODY) -> float:
        return self.call("reconcile", processes=processes, **self.bed.known_of(self))

    def task_path(self, task: str) -> Path:
        path = self.netns_dir / task
        # a host without IPv6 has mounts of its own
        return path if self.has_ipv6 or not self.process else Path(f"/proc/{self.process.pid}/root{path}")

    def unbind_everything(self) -> None:
        """What a reboot does: no namespace is bound any more, no link of ours is left."""
        if self.netns_dir.is_dir():
            for each in self.netns_dir.iterdir():
                netns.delete(each)
                each.touch()  # a RUN directory that is no tmpfs keeps the empty files
        listed = run_in(self.path, "ip", "-o", "link")
        for line in listed.splitlines():
            name = line.split(":")[1].strip().split("@")[0]
            if name.startswith("covey_"):
                with contextlib.suppress(AssertionError):
                    run_in(self.path, "ip", "link", "del", name)
        run_in(self.path, "nft", "flush", "ruleset")


class Bed:
    """Hosts h1 to h3, an `outside` client, one overlay with a service behind a VIP, and ingress."""

    def __init__(self, directory: Path, hosts: int = 3, *, ipv4: bool = True, ipv6: bool = False) -> None:
        self.directory = directory
        self.net, self.ingress = (_network(each, ipv4=ipv4, ipv6=ipv6) for each in (NET, INGRESS))
        self.states: dict[str, EndpointState] = {}
        self.version = 0
        self.ports: tuple[PortConfig, ...] = PORTS
        self.affinity = Affinity.NONE
        self.servers: dict[str, Server] = {}
        self.fabric, self.outside = directory / "fabric", directory / "outside"
        self.hosts = [Host(self, number) for number in range(1, hosts + 1)]

    def build(self) -> None:
        for path in (self.fabric, self.outside, *(host.path for host in self.hosts)):
            netns.create(path)
            run_in(
                path, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0"
            )  # nothing changes by itself later
        run_in(self.fabric, "ip", "link", "add", "br0", "up", "type", "bridge")
        members = [(self.outside, OUTSIDE, OUTSIDE_IPV6)]
        members += [(host.path, host.address, host.ipv6) for host in self.hosts]
        for number, (path, address, ipv6) in enumerate(members):
            here, there = f"p{number}", f"/proc/self/fd/{os.open(path, os.O_RDONLY)}"
            descriptor = int(there.rsplit("/", 1)[1])
            try:
                subprocess.run(
                    [
                        "nsenter",
                        f"--net={self.fabric}",
                        "sh",
                        "-c",
                        f"ip link add {here} type veth peer name eth0 netns {there} && "
                        f"ip link set {here} master br0 up",
                    ],
                    pass_fds=[descriptor],
                    check=True,
                    timeout=30,
                )
            finally:
                os.close(descriptor)
            addresses = (f"addr add {address}/24 dev eth0", f"addr add {ipv6}/64 dev eth0 nodad")
            for command in (*addresses, "link set eth0 up", "link set lo up"):
                run_in(path, "ip", *command.split())
        for host in self.hosts:
            host.start()
            host.call("reconcile", networks=[self.ingress])

    def sandbox(self, host: Host, name: str, *, published: bool = True) -> Sandbox:
        number = int(name[1:])
        net, ingress = self.net, self.ingress
        attachments = [Attachment(net, self.endpoint(net, host, name, f"10.7.0.{number}"))]
        if published:
            attachments.append(Attachment(ingress, self.endpoint(ingress, host, name, f"10.255.1.{number}")))
        return Sandbox(name, tuple(attachments), HOST_PORTS if name == "t2" else ())

    def endpoint(self, network: Network, host: Host, task: str, address: str) -> Endpoint:
        """A place on a network; where that has no IPv4, the number is smaller than one made of the address."""
        number = int.from_bytes(socket.inet_aton(address), "big")
        if all(is_ipv6(each.cidr) for each in network.subnets):
            number &= 0xFFFF
        return Endpoint(
            id=f"{address}",
            network_id=network.id,
            node_id=host.node_id,
            task_id=task,
            number=number,
            addresses=addresses_of(network.subnets, number),
        )

    def populate(self, caller: str = "") -> None:
        """The service's t2 is on h1, t3 on h2; h3 has no task of it. A `caller` beside t2 is none of its tasks."""
        first, second, *_ = self.hosts
        if caller:
            self.attach(first, caller, None, published=False)
        self.attach(first, "t2", EndpointState.ACTIVE)
        self.attach(second, "t3", EndpointState.ACTIVE)
        self.push()

    def attach(self, host: Host, name: str, state: EndpointState | None, *, published: bool = True) -> None:
        """A task on `host`; with a `state`, it is an endpoint of the service and serves."""
        sandbox = self.sandbox(host, name, published=published)
        host.sandboxes[name] = sandbox
        assert host.ask("attach", sandbox=sandbox) == str(host.netns_dir / name)
        path = host.task_path(name)
        if state is not None:
            self.states[name] = state
            self.servers[name] = Server(name, path)

    def remove(self, host: Host, name: str) -> None:
        host.sandboxes.pop(name)
        self.states.pop(name, None)
        if name in self.servers:
            self.servers.pop(name).close()
        host.call("detach", name=name)

    def table(self, network: Network) -> NetworkTable:
        rows = []
        for host in self.hosts:
            if network.spec.ingress:
                own = self.endpoint(network, host, "", host.ingress)
                rows.append(self._row(own, host))
            for sandbox in host.sandboxes.values():
                rows += [
                    self._row(each.endpoint, host)
                    for each in sandbox.attachments
                    if each.network.id == network.id
                ]
        service = ServiceRow(
            service_id="web",
            name="web",
            virtual_ips=() if network.spec.ingress else self._virtual_ips(network),
            ports=self.ports if network.spec.ingress else (),
            affinity=self.affinity,
        )
        self.version += 1
        return NetworkTable(
            network_id=network.id,
            version=ClusterVersion(1, self.version),
            endpoints=tuple(rows),
            services=(service,),
        )

    def _virtual_ips(self, network: Network) -> tuple[str, ...]:
        families = {is_ipv6(each.cidr) for each in network.subnets}
        return tuple(each for each in (VIP, VIP_IPV6) if is_ipv6(each) in families)

    def _row(self, endpoint: Endpoint, host: Host) -> EndpointRow:
        state = self.states.get(endpoint.task_id)
        return EndpointRow(
            endpoint_id=endpoint.id,
            number=endpoint.number,
            addresses=endpoint.addresses,
            node_id=host.node_id,
            vtep=host.address,
            state=state if state is not None else EndpointState.ACTIVE,
            task_id=endpoint.task_id,
            service_id="web" if state is not None else "",
            keeps_client_address=host.keeps,
        )

    def known_of(self, host: Host) -> dict[str, object]:
        """All that a host's agent knows."""
        tables = [self.table(self.net), self.table(self.ingress)]
        return {
            "networks": [self.net, self.ingress],
            "tables": tables,
            "sandboxes": list(host.sandboxes.values()),
        }

    def push(self) -> None:
        """Give every host the tables as they now are."""
        for network in (self.net, self.ingress):
            table = self.table(network)
            for host in self.hosts:
                if host.process is not None:
                    host.call("apply", table=table)

    def close(self) -> None:
        for server in self.servers.values():
            server.close()
        for host in self.hosts:
            host.stop()
            if host.netns_dir.is_dir():
                for each in host.netns_dir.iterdir():
                    netns.delete(each)
            netns.delete(host.path)
        netns.delete(self.outside)
        netns.delete(self.fabric)


def _network(network: Network, *, ipv4: bool, ipv6: bool) -> Network:
    if ipv4 and not ipv6:
        return network
    subnets = (*(network.subnets if ipv4 else ()), IPV6_SUBNETS[network.id])
    return replace(network, spec=replace(network.spec, ipv4=ipv4, ipv6=ipv6), subnets=subnets)
