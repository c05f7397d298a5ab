"""The agent's process: `python -m agent --config RUN/node.json [--stop-tasks]`; coveyd starts it."""

import argparse
import asyncio
import fcntl
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from random import SystemRandom

import covey.wire  # noqa: F401  before grpc is imported by anything: it sets what TLS versions grpc takes
from agent.audit.server import AuditServer
from agent.dns.client import DnsFeed
from agent.dns.resolv import options_of, search_of, upstreams_of
from agent.driver import Agent, Parts
from agent.images.store.driver import SkopeoImages
from agent.network.driver import NetlinkNetworks
from agent.network.io.sysctl import has_ipv6
from agent.network.io.trial import cannot_keep_client_address
from agent.network.seam import Networks
from agent.network.settings import Settings
from agent.runtime.oci.driver import OciRuntime
from agent.session.client import tell_coveyd
from agent.session.description import NOT_TRIED, describe
from agent.session.machine import Session
from agent.session.messages import Membership
from agent.tasks.files import NodeFacts
from agent.tasks.io.db import Database, Stored
from agent.tasks.io.stop import graces_ms, stop_everything
from agent.tasks.machine import Tasks
from agent.tunnels.driver import NodeTunnels
from agent.tunnels.driver import Settings as TunnelSettings
from agent.tunnels.io.networks import TunnelledNetworks
from agent.tunnels.io.probe import find as find_wireguard
from agent.tunnels.io.underlay import mtu_of
from agent.tunnels.io.wireguard import WireGuard
from agent.tunnels.seam import Tunnels
from covey import identity
from covey.errors import CoveyError, FailedPrecondition
from covey.io import logs
from covey.io.architecture import architecture
from covey.model import node_config
from covey.model.node_config import NodeConfig
from covey.model.objects import NodeNetworking
from covey.wire.client import Channel, connect_control

log = logging.getLogger("agent")


def main() -> int:
    """Run the agent; returns 0 after SIGTERM or a done `--stop-tasks`, 1 if it had to give up."""
    parser = argparse.ArgumentParser(prog="agent", description="Runs the containers of one node.")
    parser.add_argument("--config", type=Path, required=True, help="what coveyd wrote for its processes")
    parser.add_argument("--stop-tasks", action="store_true", help="stop and remove all containers, and end")
    arguments = parser.parse_args()
    failed = False
    try:
        config = node_config.load(arguments.config)
        logs.configure("agent", config.log_level)
        _raise_file_limit()
        with _only_one(config):
            asyncio.run(_stop(config) if arguments.stop_tasks else _serve(config))
    except* CoveyError as group:
        for error in _leaves(group):
            log.error("%s", error)
        failed = True
    return int(failed)


def _leaves(group: BaseException) -> Iterator[BaseException]:
    if isinstance(group, BaseExceptionGroup):
        for each in group.exceptions:
            yield from _leaves(each)
    else:
        yield group


@contextmanager
def _only_one(config: NodeConfig) -> Iterator[None]:
    """Hold the node's lock. It belongs to the process: it is free as soon as the holder has ended."""
    path = config.state / "agent" / "lock"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FailedPrecondition(f"{path} is locked: another agent of this node is running") from None
        yield


def _raise_file_limit() -> None:
    # Pidfds and log files of every container, and sockets: the usual soft limit of 1024 is soon met.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@asynccontextmanager
async def _workers(
    config: NodeConfig, networking: NodeNetworking, tunnels: Tunnels
) -> AsyncIterator[tuple[OciRuntime, Networks]]:
    """The parts that hold something open on the host."""
    settings = Settings(
        config.netns_dir,
        config.node_id,
        config.data_address or config.advertise_address,
        config.vxlan_port,
        networking.keeps_client_address,
        tunnels.address,
    )
    networks = TunnelledNetworks(NetlinkNetworks(settings), tunnels)
    try:
        runtime = OciRuntime(config.state, config.run, config.cgroup_parent)
        try:
            await runtime.open()
            yield runtime, networks
        finally:
            await runtime.close()
    finally:
        await networks.close()


async def _serve(config: NodeConfig) -> None:
    dice, audits = SystemRandom(), AuditServer()
    database = Database(config.state / "agent" / "tasks.db", config.cluster_id)
    try:
        stored = database.load()
        networking, tunnels = _try_out(config)
        async with (
            audits.serving(config.agent_socket),  # first: what is made in that moment would be root's alone
            _workers(config, networking, tunnels) as (runtime, networks),
            DnsFeed(config.dns_socket, dice) as names,
        ):
            images = SkopeoImages(config.state / "images", config.run, config.insecure_registries)
            follow = partial(tell_coveyd, config.daemon_socket)
            connect = partial(_connect, config)
            parts = Parts(runtime, images, networks, tunnels, names, database, connect, follow, audits)
            session = _session(config, networking, stored, dice)
            try:
                await _until_told(Agent(parts, session, Tasks(_facts(config)), stored))
            finally:
                await images.close()
    finally:
        await database.close()


async def _until_told(agent: Agent) -> None:
    """Run the agent until SIGTERM or SIGINT."""
    running = asyncio.create_task(agent.run(), name="agent")
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        log.info("ending; containers run on")


async def _stop(config: NodeConfig) -> None:
    database = Database(config.state / "agent" / "tasks.db", config.cluster_id)
    try:
        graces = graces_ms(database.load())
    finally:
        await database.close()
    async with _workers(config, NOT_TRIED, _tunnels(config, None, "")) as (runtime, networks):
        await stop_everything(runtime, networks, graces)


def _try_out(config: NodeConfig) -> tuple[NodeNetworking, Tunnels]:
    """Find out what this kernel can do for networks."""
    trial = config.netns_dir.parent / "trial"
    remark = cannot_keep_client_address(trial)
    make, why = find_wireguard(trial, config.node_id, mtu_of(config.data_address or config.advertise_address))
    networking = NodeNetworking(
        keeps_client_address=not remark,
        encryption=make.kind if make is not None else "",
        remarks=(remark,) if remark else (),
        without_ipv6=not has_ipv6(),
    )
    return networking, _tunnels(config, make, why)


def _tunnels(config: NodeConfig, make: WireGuard | None, why: str) -> Tunnels:
    keys = config.state / "agent" / "tunnels.json"
    address = config.data_address or config.advertise_address
    settings = TunnelSettings(config.cluster_id, config.node_id, address, keys, config.vxlan_port)
    return NodeTunnels(settings, make, why)


def _session(config: NodeConfig, networking: NodeNetworking, stored: Stored, dice: SystemRandom) -> Session:
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cpus = len(os.sched_getaffinity(0))
    description = describe(
        config, socket.gethostname(), architecture(), cpus, memory_bytes, version("covey"), networking
    )
    remembered = stored.remembered
    managers = config.managers or remembered.managers  # coveyd is told of each change, and may know better
    known = Membership(config.role, config.managers)
    return Session(description, managers, dice, remembered.last_seen, dict(stored.tables), known=known)


def _facts(config: NodeConfig) -> NodeFacts:
    path = Path(config.resolv_conf)
    text = path.read_text() if path.exists() else ""
    name = config.node_name or socket.gethostname()
    resolving = upstreams_of(text), search_of(text), options_of(text)
    return NodeFacts(config.node_id, name, *resolving, ipv6=has_ipv6())


def _connect(config: NodeConfig, address: str) -> Channel:
    """A channel with the certificate of this moment: it may have been renewed since the last one."""
    found = identity.store.load(config.identity_dir)
    if found is None:
        raise FailedPrecondition(f"{config.identity_dir} holds no certificate: this host is no node any more")
    return connect_control(address, found)


if __name__ == "__main__":
    sys.exit(main())
