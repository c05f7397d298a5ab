"""Joining and renewing, as seen from the host that does so."""

import asyncio
import ssl

from msgspec import Struct

from covey import limits
from covey.errors import InvalidArgument, Refused, Unauthenticated, Unavailable
from covey.identity import NodeIdentity, create_request, parse_token, root_digest
from covey.model.address import join_host_port
from covey.model.states import Availability, NodeRole
from covey.v1 import bootstrap_pb2, ca_pb2, dispatcher_pb2, types_pb2
from covey.wire.client import connect_bootstrap, connect_control
from covey.wire.services import Bootstrap, Dispatcher, NodeCa, StoreKeeping

from .addresses import manager_address


class Joined(Struct, frozen=True):
    """What a host gets for its token. `local_address` is its own address on the way to the manager."""

    identity: NodeIdentity
    managers: tuple[str, ...]
    vxlan_port: int
    local_address: str


async def join(
    token_text: str, address: str, key_pem: bytes, node_name: str, availability: Availability
) -> Joined:
    """Get a certificate for `key_pem` with a join token, from a manager's control address.

    The bootstrap port is the one after the control port. The root certificate comes first, over a connection
    that proves nothing, and is believed only because its digest is in the token; the token itself goes only
    over a connection that this root vouches for.
    """
    token = parse_token(token_text)
    host, control_port = manager_address(address, limits.control_port)
    target = join_host_port(host, control_port + 1)
    shown, local_address = await _shown_certificate(host, control_port + 1)
    async with connect_bootstrap(target, shown) as unverified:
        answer = await unverified.call(
            Bootstrap.get_root_certificate, bootstrap_pb2.GetRootCertificateRequest()
        )
    root_pem = answer.certificate_pem.encode()
    try:
        digest = root_digest(root_pem)
    except InvalidArgument as error:
        raise Unauthenticated(f"{target} is no manager of a Covey cluster: {error}") from error
    if digest != token.digest:
        raise Unauthenticated(
            f"the token is not for the cluster at {host}: its root certificate has another digest; "
            "check the address, and that the token was copied from this cluster"
        )
    request = bootstrap_pb2.IssueNodeCertificateRequest(
        signing_request_pem=create_request(key_pem).decode(),
        token=str(token),
        hostname=node_name,
        availability=types_pb2.Availability.Name(availability),
    )
    async with connect_bootstrap(target, root_pem) as verified:
        issued = await verified.call(Bootstrap.issue_node_certificate, request)
    try:
        identity = NodeIdentity.of(key_pem, issued.certificate_pem.encode(), root_pem)
    except InvalidArgument as error:
        raise Unauthenticated(f"{target} gave a certificate that does not fit: {error}") from error
    managers = tuple(issued.managers) or (join_host_port(host, control_port),)
    return Joined(identity, managers, issued.vxlan_port, local_address)


async def renew(
    identity: NodeIdentity, managers: tuple[str, ...], role: NodeRole | None = None
) -> NodeIdentity:
    """Get a new certificate for the same key from any manager; raises what the last one answered.

    With `role`, only a certificate for that role will do: a manager that lags still gives the one before.
    """
    failure: Exception = Unavailable("no manager is known that could renew the certificate")
    request = ca_pb2.RenewCertificateRequest(signing_request_pem=create_request(identity.key_pem).decode())
    for address in managers:
        try:
            async with connect_control(address, identity) as channel:
                answer = await channel.call(NodeCa.renew_certificate, request)
            root_pem = answer.root_certificate_pem.encode()
            renewed = NodeIdentity.of(identity.key_pem, answer.certificate_pem.encode(), root_pem)
        except (Unavailable, InvalidArgument, Unauthenticated) as error:
            failure = error
            continue
        now_is = renewed.identity.role
        if role is None or now_is is role:
            return renewed
        failure = Unavailable(f"{address} still calls this node a {now_is.name.lower()}")
    raise failure


async def store_access(identity: NodeIdentity, managers: tuple[str, ...]) -> bytes:
    """Ask for what a manager needs to get at the state; empty if the managers keep it themselves."""
    failure: Exception = Unavailable("no manager is known that could say where the state is kept")
    for address in managers:
        try:
            async with connect_control(address, identity) as channel:
                answer = await channel.call(StoreKeeping.get_store_access, ca_pb2.GetStoreAccessRequest())
        except (Unavailable, Refused) as error:
            failure = error
        else:
            return answer.access
    raise failure


async def sign_off(identity: NodeIdentity, managers: tuple[str, ...]) -> None:
    """Tell a manager that this node leaves; raises what the last one answered."""
    failure: Exception = Unavailable("no manager is known that could be told")
    for address in managers:
        try:
            async with connect_control(address, identity) as channel:
                await channel.call(Dispatcher.sign_off, dispatcher_pb2.SignOffRequest())
        except (Unavailable, Refused) as error:
            failure = error
        else:
            return
    raise failure


async def _shown_certificate(host: str, port: int) -> tuple[bytes, str]:
    """Look at the certificate a server shows, believing nothing; and at our own address on the way there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    target = join_host_port(host, port)
    try:
        async with asyncio.timeout(limits.connect_timeout_ms / 1000):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except TimeoutError:
        raise Unavailable(
            f"{target} does not answer; check the address, and that firewalls let {port}/tcp through"
        ) from None
    except ssl.SSLError as error:
        raise Unavailable(f"{target} does not speak TLS 1.3 ({error.reason}); is it a manager?") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise Unavailable(f"{target} cannot be reached: {reason}; is it the address of a manager?") from error
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        local = writer.get_extra_info("sockname")[0]
    finally:
        writer.transport.abort()
    return ssl.DER_cert_to_PEM_cert(der).encode(), str(local)
