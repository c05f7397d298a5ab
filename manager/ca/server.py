"""The authority's RPCs: `Bootstrap` (its own port), `NodeCa` and `StoreKeeping` (the control port)."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from covey import limits
from covey.errors import CoveyError, InvalidArgument, ResourceExhausted
from covey.identity import Identity, RootAuthority, node_id_of, sign_request
from covey.model.objects import Cluster
from covey.model.states import Availability
from covey.v1 import bootstrap_pb2, ca_pb2, types_pb2
from covey.wire.service import Binding, Caller, bind
from covey.wire.services import Bootstrap, NodeCa, StoreKeeping
from manager.store.draft import Draft
from manager.store.view import View

from .admission import admit, renewal, the_cluster
from .ratelimit import RateLimit

log = logging.getLogger(__name__)
Result = TypeVar("Result")


class Store(View, Protocol):
    """What the authority needs of the store."""

    async def update(self, change: Callable[[Draft], Result]) -> Result:
        """Read, modify, write, again after a conflict."""
        ...


class AuthorityServer:
    """Signs certificates for a cluster whose root is in `store`.

    `managers` gives the control addresses told to a host that joins; `store_access` is what one that becomes a
    manager needs to get at the state, where that is kept elsewhere. By `clock_s` it is told who asks too often.
    """

    def __init__(
        self,
        store: Store,
        managers: Callable[[], Sequence[str]],
        store_access: bytes = b"",
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._managers = managers
        self._store_access = store_access
        self._clock_s = clock_s
        self._limit = RateLimit(
            host_burst=limits.bootstrap_host_burst,
            host_per_s=limits.bootstrap_host_requests_per_s,
            total_burst=limits.bootstrap_burst,
            total_per_s=limits.bootstrap_requests_per_s,
            hosts_max=limits.bootstrap_hosts_remembered,
        )

    def bootstrap_bindings(self) -> list[Binding]:
        """What the bootstrap port serves."""
        return [
            bind(Bootstrap.get_root_certificate, self.get_root_certificate),
            bind(Bootstrap.issue_node_certificate, self.issue_node_certificate),
        ]

    def control_bindings(self) -> list[Binding]:
        """What the control port serves of the authority."""
        return [
            bind(NodeCa.renew_certificate, self.renew_certificate),
            bind(StoreKeeping.get_store_access, self.get_store_access),
        ]

    async def get_root_certificate(
        self, request: bootstrap_pb2.GetRootCertificateRequest, caller: Caller
    ) -> bootstrap_pb2.GetRootCertificateResponse:
        """Tell anybody the root certificate; who holds a token can tell whether it is the right one."""
        self.pace(caller)
        root = the_cluster(self._store).root_ca.certificate_pem
        return bootstrap_pb2.GetRootCertificateResponse(certificate_pem=root)

    async def issue_node_certificate(
        self, request: bootstrap_pb2.IssueNodeCertificateRequest, caller: Caller
    ) -> bootstrap_pb2.IssueNodeCertificateResponse:
        """Sign the request of a host that brings a valid token, and make it a node."""
        self.pace(caller)
        try:
            signing_request = request.signing_request_pem.encode()
            node_id = node_id_of(signing_request)
            availability = _availability(request.availability)
            cluster, identity = await self._store.update(
                lambda draft: admit(draft, request.token, node_id, request.hostname, availability)
            )
        except CoveyError as error:
            log.warning("%s was refused a certificate: %s", caller.host, error)
            raise
        certificate = _sign(cluster, signing_request, identity)
        log.info("node %s (%s, %s) joined", identity.node_id, request.hostname, caller.host)
        return bootstrap_pb2.IssueNodeCertificateResponse(
            certificate_pem=certificate,
            node_id=identity.node_id,
            cluster_id=identity.cluster_id,
            role=types_pb2.NodeRole.Name(identity.role),
            managers=self._managers(),
            vxlan_port=cluster.spec.vxlan_port,
        )

    async def renew_certificate(
        self, request: ca_pb2.RenewCertificateRequest, caller: Caller
    ) -> ca_pb2.RenewCertificateResponse:
        """Sign a node's next certificate: for itself only, whatever the request says."""
        signing_request = request.signing_request_pem.encode()
        cluster, identity = renewal(self._store, caller.node_id)
        certificate = _sign(cluster, signing_request, identity)
        log.info("the certificate of node %s was renewed", identity.node_id)
        return ca_pb2.RenewCertificateResponse(
            certificate_pem=certificate, root_certificate_pem=cluster.root_ca.certificate_pem
        )

    async def get_store_access(
        self, request: ca_pb2.GetStoreAccessRequest, caller: Caller
    ) -> ca_pb2.GetStoreAccessResponse:
        """Hand a manager what it needs to get at the state."""
        if self._store_access:
            log.info("node %s is handed the access to the state in etcd", caller.node_id)
        return ca_pb2.GetStoreAccessResponse(access=self._store_access)

    def pace(self, caller: Caller) -> None:
        """Refuse who asks too often; raises `ResourceExhausted`."""
        if not self._limit.admits(caller.host, int(self._clock_s() * 1000)):
            log.warning("%s asks for certificates too often", caller.host)
            raise ResourceExhausted("too many requests to join; wait a few seconds and try again")


def _availability(number: int) -> Availability:
    try:
        return Availability(number)
    except ValueError:
        raise InvalidArgument(f"availability {number} is unknown; use active, pause or drain") from None


def _sign(cluster: Cluster, signing_request: bytes, identity: Identity) -> str:
    root = RootAuthority(cluster.root_ca.certificate_pem.encode(), cluster.root_ca.key_pem.encode())
    lifetime_ns = cluster.spec.node_certificate_ns
    return sign_request(root, signing_request, identity, time.time_ns(), lifetime_ns).decode()
