"""Who calls: by a certificate and what the cluster knows of its node, or by the word of a manager that passes on.

A caller is what its certificate says and what the store says, whichever is less: a certificate outlives a demotion.
A manager that passes a call on names the caller it had. That is believed from managers alone; the caller it
names is judged like one that came by itself.
"""

import ipaddress
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from covey import limits
from covey.errors import PermissionDenied, Unauthenticated
from covey.identity import PeerCertificate, read_peer
from covey.model.states import NodeRole

from .metadata import CALLER_HOST, CALLER_NODE, CALLER_ROLE, READ, STALE, user_of
from .service import Caller, Method, Role

RoleOf = Callable[[str, Method[Any, Any]], NodeRole | None]
"""What the cluster knows of a node that calls a method; None: it is no member."""


@lru_cache(maxsize=limits.peer_certificates_cached)
def _peer(certificate_pem: bytes) -> PeerCertificate:
    return read_peer(certificate_pem)


def by_certificate(context: Any, method: Method[Any, Any], role_of: RoleOf) -> Caller:
    """Say who calls on a port where callers show certificates; raises `Unauthenticated`, `PermissionDenied`."""
    shown = context.auth_context().get("x509_pem_cert")
    host = host_of(context.peer())
    if not shown:
        raise Unauthenticated(f"{host}: no certificate was shown")
    peer = _peer(shown[0])
    identity = peer.identity
    # TLS checks this at the handshake only, and connections live long.
    if time.time_ns() >= peer.not_after_ns:
        raise Unauthenticated(
            f"the certificate of node {identity.node_id} has expired; join the cluster again"
        )
    certified = Role.MANAGER if identity.role is NodeRole.MANAGER else Role.WORKER
    role = _lesser(certified, identity.node_id, method, role_of)
    beside = metadata_of(context)
    stale, user = beside.get(READ) == STALE, user_of(beside)
    caller = Caller(role, identity.node_id, identity.cluster_id, host, stale=stale, user=user)
    return _original(caller, beside, method, role_of) if CALLER_ROLE in beside else caller


def _lesser(certified: Role, node_id: str, method: Method[Any, Any], role_of: RoleOf) -> Role:
    known = role_of(node_id, method)
    if known is None:
        raise Unauthenticated(f"node {node_id} is no member of this cluster; it may have been removed")
    return certified if known is NodeRole.MANAGER else Role.WORKER


def _original(via: Caller, beside: Mapping[str, str], method: Method[Any, Any], role_of: RoleOf) -> Caller:
    """Give the caller for whom a manager passes on a call."""
    if via.role is not Role.MANAGER:
        raise PermissionDenied(f"only managers speak for others; the caller is {via}")
    try:
        role = Role(beside[CALLER_ROLE])
    except ValueError:
        raise Unauthenticated(f"{via} speaks for a caller of unknown role {beside[CALLER_ROLE]!r}") from None
    node_id = beside.get(CALLER_NODE, "")
    if role in (Role.WORKER, Role.MANAGER):
        role = _lesser(role, node_id, method, role_of)
    return Caller(
        role,
        node_id,
        via.cluster_id,
        beside.get(CALLER_HOST, ""),
        via=via.node_id,
        stale=via.stale,
        user=via.user,
    )


def metadata_of(context: Any) -> dict[str, str]:
    """Read the text that came beside a call; the last word of each name counts."""
    return {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}


def host_of(peer: str) -> str:
    """The address in grpc's `ipv4:10.0.0.1:4321` or `ipv6:%5Bfd00::1%5D:4321`, without the port."""
    host = unquote(peer.partition(":")[2]).rpartition(":")[0].strip("[]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
