"""The first content of a cluster, made by `covey init`. Pure but for the dice of keys and ids."""

import ipaddress
from collections.abc import Sequence
from random import Random

from msgspec import Struct

from covey import limits
from covey.errors import InvalidArgument
from covey.identity import (
    Identity,
    NodeIdentity,
    create_request,
    create_root,
    node_id_of,
    root_digest,
    sign_request,
)
from covey.ids import new_id
from covey.model.bootstrap import ClusterBootstrap
from covey.model.objects import Cluster, JoinSecrets, Network, Node, NodeDescription, RootCa
from covey.model.specs import ClusterSpec, IpamConfig, NetworkSpec, NodeSpec
from covey.model.states import Availability, NodeRole

INGRESS_NAME = "ingress"
_VXLAN_PORTS = range(1024, 49_152)  # as Docker Swarm: neither privileged nor ephemeral


class Founding(Struct, frozen=True):
    """A new cluster: what the store begins with, and the first manager's identity."""

    bootstrap: ClusterBootstrap
    identity: NodeIdentity


def cluster_spec(pools: Sequence[str], subnet_prefix_length: int, vxlan_port: int) -> ClusterSpec:
    """Check what `init` was asked for; empty and 0 mean the defaults."""
    networks = [_pool(text) for text in pools or (limits.address_pool_default,)]
    for pool in networks:
        if pool.version != 4:
            raise InvalidArgument(
                f"--default-addr-pool {pool} is not IPv4; overlay networks have no IPv6 yet"
            )
    for at, pool in enumerate(networks):
        for other in networks[:at]:
            if pool.version == other.version and pool.overlaps(other):
                raise InvalidArgument(f"--default-addr-pool {pool} overlaps {other}; give separate pools")
    length = subnet_prefix_length or limits.subnet_prefix_length
    for pool in networks:
        if not pool.prefixlen <= length <= pool.max_prefixlen - 2:
            raise InvalidArgument(
                f"--default-addr-pool-mask-length {length} cuts no subnets from {pool}; "
                f"use {pool.prefixlen} to {pool.max_prefixlen - 2}"
            )
    port = vxlan_port or limits.vxlan_port
    if port not in _VXLAN_PORTS:
        raise InvalidArgument(
            f"--data-path-port {port} is not between {_VXLAN_PORTS[0]} and {_VXLAN_PORTS[-1]}"
        )
    return ClusterSpec(
        address_pools=tuple(str(pool) for pool in networks), subnet_prefix_length=length, vxlan_port=port
    )


def found_cluster(
    spec: ClusterSpec, key_pem: bytes, node_name: str, availability: Availability, dice: Random, now_ns: int
) -> Founding:
    """Make a cluster of one manager. `dice` must be strong ones: the join secrets are drawn from them."""
    cluster_id = new_id(dice)
    root = create_root(cluster_id, now_ns)
    request = create_request(key_pem)
    identity = Identity(node_id_of(request), cluster_id, NodeRole.MANAGER)
    certificate = sign_request(root, request, identity, now_ns, spec.node_certificate_ns)
    cluster = Cluster(
        id=cluster_id,
        spec=spec,
        root_ca=RootCa(
            certificate_pem=root.certificate_pem.decode(),
            key_pem=root.key_pem.decode(),
            digest=root_digest(root.certificate_pem),
        ),
        join_secrets=JoinSecrets(worker=new_id(dice), manager=new_id(dice)),
    )
    node = Node(
        id=identity.node_id,
        spec=NodeSpec(role=NodeRole.MANAGER, availability=availability),
        description=NodeDescription(hostname=node_name),
        role=NodeRole.MANAGER,
    )
    bootstrap = ClusterBootstrap(cluster=cluster, node=node, ingress=_ingress(spec, new_id(dice)))
    return Founding(bootstrap, NodeIdentity.of(key_pem, certificate, root.certificate_pem))


def _ingress(spec: ClusterSpec, network_id: str) -> Network:
    """The routing mesh's network. With pools of the user's own, its subnet too comes from them."""
    of_default_pools = spec.address_pools == (limits.address_pool_default,)
    ipam = (IpamConfig(subnet=limits.ingress_subnet_default),) if of_default_pools else ()
    return Network(id=network_id, spec=NetworkSpec(name=INGRESS_NAME, ingress=True, ipam=ipam))


def _pool(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise InvalidArgument(
            f"--default-addr-pool {text!r} is not a network such as 10.20.0.0/16: {error}"
        ) from None
