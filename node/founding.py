"""The first content of a cluster, made by `covey init`. Pure but for the dice of keys and ids."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
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
    given = [_pool(text) for text in pools]
    networks = [pool for pool in given if isinstance(pool, IPv4Network)] or [
        IPv4Network(limits.address_pool_default)
    ]
    of_ipv6 = [pool for pool in given if isinstance(pool, IPv6Network)]
    longest = limits.subnet_prefix_length_ipv6_max
    for narrow in of_ipv6:
        if narrow.prefixlen > longest:
            raise InvalidArgument(
                f"--default-addr-pool {narrow} is too small for a network; give an IPv6 pool of /{longest} or larger"
            )
    for at, one in enumerate(given):
        for other in given[:at]:
            if one.overlaps(other):
                raise InvalidArgument(f"--default-addr-pool {one} overlaps {other}; give separate pools")
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
        address_pools=tuple(map(str, networks)),
        subnet_prefix_length=length,
        vxlan_port=port,
        address_pools_ipv6=tuple(map(str, of_ipv6)),
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


def _pool(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise InvalidArgument(
            f"--default-addr-pool {text!r} is not a network such as 10.20.0.0/16 or fd00:1::/48: {error}"
        ) from None
