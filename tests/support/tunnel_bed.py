"""A bed of hosts that share an encrypted network: the real driver and wireguard-go inside each."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from agent.network.seam import Attachment, Sandbox
from agent.tunnels import names
from agent.tunnels.io.userspace import Userspace
from covey.model.objects import Network, Subnet, TunnelKey
from covey.model.specs import NetworkSpec
from covey.model.tables import NetworkTable, PeerRow
from covey.model.tunnels import tunnel_address
from tests.support.leftovers import RUN, prefix
from tests.support.network_bed import HERE, ROOT, Bed, Host
from tests.support.network_traffic import Server

SECRET = Network(
    id="e" * 25,
    spec=NetworkSpec(name="secret", options={"encrypted": ""}),
    vni=5002,
    subnets=(Subnet(cidr="10.7.0.0/24"),),
)
PLAIN = Network(id="p" * 25, spec=NetworkSpec(name="plain"), vni=5003, subnets=(Subnet(cidr="10.7.0.0/24"),))


class TunnelHost(Host):
    """A host whose agent has tunnels, unless `why` says why not."""

    def __init__(self, bed: "TunnelBed", number: int) -> None:
        super().__init__(bed, number)
        self.node_id = f"node{number}-{os.getpid()}-{bed.directory.name}"
        self.tunnel = tunnel_address(bed.cluster_id, self.node_id)
        self.state = self.netns_dir.parent / "state" / "tunnels.json"
        self.why = ""

    @property
    def devices(self) -> tuple[str, ...]:
        """How this host's tunnels are called."""
        return names.devices(self.node_id)

    def start(self) -> None:
        """Start the process of the drivers."""
        arguments = str(self.netns_dir), self.node_id, self.address, "cluster", self.why
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["nsenter", f"--net={self.path}", sys.executable, str(HERE / "tunnel_host.py"), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT), RUN: prefix()},
            )

    def reported(self) -> tuple[TunnelKey, ...]:
        """The public keys that the host would report."""
        return msgspec.json.decode(self.ask("keys"), type=tuple[TunnelKey, ...])


class TunnelBed(Bed):
    """Hosts on one encrypted network (`network`), with tables as managers would build them."""

    cluster_id = "cluster"

    def __init__(self, directory: Path, hosts: int = 2, network: Network = SECRET) -> None:
        super().__init__(directory, 0)
        self.network = network
        self.generation = 0
        self.members = [TunnelHost(self, number) for number in range(1, hosts + 1)]
        self.hosts = list[Host](self.members)

    def sandbox(self, host: Host, name: str, *, published: bool = True) -> Sandbox:
        """A task on the network."""
        place = self.endpoint(self.network, host, name, f"10.7.0.{int(name[1:])}")
        return Sandbox(name, (Attachment(self.network, place),))

    def join(self, host: Host, name: str) -> None:
        """Have a task on the network that answers."""
        sandbox = self.sandbox(host, name)
        host.sandboxes[name] = sandbox
        self.servers[name] = Server(name, Path(host.ask("attach", sandbox=sandbox)))

    def table(self, network: Network) -> NetworkTable:
        """The table with the peers, and their keys as they report them."""
        table = super().table(network)
        if network is not SECRET:
            return table
        tunnels = {host.node_id: host.tunnel for host in self.members}
        rows = [msgspec.structs.replace(row, vtep=tunnels[row.node_id]) for row in table.endpoints]
        peers = [
            PeerRow(host.node_id, host.address, host.tunnel, self.known(host), self.generation)
            for host in self.members
            if host.sandboxes
        ]
        return msgspec.structs.replace(table, endpoints=tuple(rows), peers=tuple(peers))

    def known(self, host: TunnelHost) -> tuple[TunnelKey, ...]:
        """What managers know of a host's keys: what it last said, if it says nothing now."""
        if host.process is not None:
            self._said[host.node_id] = host.reported()
        return self._said.get(host.node_id, ())

    _said: dict[str, tuple[TunnelKey, ...]]

    def push(self) -> None:
        """Give every host the table twice: it may make a key at the first, of which the others hear by the second."""
        for _ in range(2):
            table = self.table(self.network)
            for host in self.hosts:
                if host.process is not None:
                    host.call("apply", table=table)

    def build(self) -> None:
        """Make the hosts."""
        self._said = {}
        super().build()

    def reconcile(self, host: Host) -> None:
        """What an agent does that begins."""
        table = self.table(self.network)
        boxes = list(host.sandboxes.values())
        host.call("reconcile", networks=[self.network], tables=[table], sandboxes=boxes)

    def close(self) -> None:
        """Remove everything, also what hosts that were killed have left."""
        for host in self.members:
            host.stop()
        for name in (name for host in self.members for name in host.devices):
            Userspace().remove(name)
        super().close()
