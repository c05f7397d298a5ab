"""The root, signing requests and node certificates (X.509 v3, RFC 5280), EC P-256 with SHA-256."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from covey import limits
from covey.errors import InvalidArgument, Unauthenticated
from covey.ids import NodeId, is_id, new_id
from covey.model.states import NodeRole

# The TLS name of every manager. `.internal` is set aside for private use; nothing ever looks it up.
MANAGER_NAME = "manager.covey.internal"
_NODE_DOMAIN = "node.covey.internal"
_UNITS = {NodeRole.WORKER: "covey-worker", NodeRole.MANAGER: "covey-manager"}
_ROLES = {unit: role for role, unit in _UNITS.items()}
_CURVE = ec.SECP256R1


@dataclass(frozen=True, slots=True)
class Identity:
    """What a node's certificate says of it."""

    node_id: str
    cluster_id: str
    role: NodeRole


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """A certificate as read: whose, and from when until when, in UTC nanoseconds."""

    identity: Identity
    not_before_ns: int
    not_after_ns: int


@dataclass(frozen=True, slots=True)
class RootAuthority:
    """The cluster's root: its certificate, and the key that only managers hold."""

    certificate_pem: bytes
    key_pem: bytes


def new_key() -> bytes:
    """Make a private key from the operating system's dice; gives PEM (PKCS #8)."""
    return _private_pem(ec.generate_private_key(_CURVE()))


def create_root(cluster_id: str, now_ns: int) -> RootAuthority:
    """Make the root of a new cluster, valid for `limits.root_certificate_days`."""
    key = ec.generate_private_key(_CURVE())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "covey-root"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, cluster_id),
        ]
    )
    start = _time(now_ns) - timedelta(hours=limits.node_certificate_backdate_hours)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=limits.root_certificate_days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    return RootAuthority(certificate.public_bytes(serialization.Encoding.PEM), _private_pem(key))


def create_request(key_pem: bytes) -> bytes:
    """Make a signing request (PKCS #10) for a key. It names nobody: the authority decides who asks."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(_load_key(key_pem), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def node_id_of(request_pem: bytes) -> NodeId:
    """Give the node id that belongs to a request's key, checking that the asker holds that key.

    The id is drawn from the key's digest, so that a host whose answer was lost asks again and gets the same
    id. Raises `InvalidArgument` for anything but a request signed by an EC P-256 key.
    """
    return _node_id(_load_request(request_pem).public_key())


def sign_request(
    root: RootAuthority, request_pem: bytes, identity: Identity, now_ns: int, lifetime_ns: int
) -> bytes:
    """Sign a node's certificate: `identity` is what it will say, nothing of the request but its key counts.

    It starts `limits.node_certificate_backdate_hours` before `now_ns`, for hosts whose clocks are behind.
    """
    assert is_id(identity.node_id), identity.node_id
    request = _load_request(request_pem)
    authority = x509.load_pem_x509_certificate(root.certificate_pem)
    names = [x509.DNSName(f"{identity.node_id}.{_NODE_DOMAIN}")]
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if identity.role is NodeRole.MANAGER:
        names.append(x509.DNSName(MANAGER_NAME))
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(identity))
        .issuer_name(authority.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_time(now_ns) - timedelta(hours=limits.node_certificate_backdate_hours))
        .not_valid_after(_time(now_ns + lifetime_ns))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(_issuer_key_id(authority), critical=False)
    )
    key = _load_key(root.key_pem)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def read_peer(certificate_pem: bytes) -> PeerCertificate:
    """Read whose a certificate is. That it is genuine is TLS's to prove, not this function's.

    Raises `Unauthenticated` if it does not name one node, one cluster and one known role.
    """
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        subject = certificate.subject
        node_id = _single(subject, NameOID.COMMON_NAME)
        cluster_id = _single(subject, NameOID.ORGANIZATION_NAME)
        role = _ROLES.get(_single(subject, NameOID.ORGANIZATIONAL_UNIT_NAME))
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
        raise Unauthenticated(f"the certificate cannot be read: {error}") from error
    if role is None or not is_id(node_id) or not cluster_id:
        raise Unauthenticated(f"no certificate of a Covey node: its subject is {subject.rfc4514_string()!r}")
    return PeerCertificate(
        Identity(node_id, cluster_id, role),
        _ns(certificate.not_valid_before_utc),
        _ns(certificate.not_valid_after_utc),
    )


def check_pair(root_pem: bytes, key_pem: bytes, certificate_pem: bytes) -> None:
    """Raise `InvalidArgument` unless the certificate is the root's and belongs to the key."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(root_pem))
    except (ValueError, TypeError, x509.InvalidVersion, InvalidSignature, UnsupportedAlgorithm) as error:
        raise InvalidArgument(f"the certificate is not one of this cluster's root: {error}") from error
    if _public_bytes(certificate.public_key()) != _public_bytes(_load_key(key_pem).public_key()):
        raise InvalidArgument("the certificate belongs to another key than this node's")


def load_root(certificate_pem: bytes) -> x509.Certificate:
    """Read a root certificate; raises `InvalidArgument` unless it is exactly one, and an authority's."""
    try:
        (certificate,) = x509.load_pem_x509_certificates(certificate_pem)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, x509.InvalidVersion, x509.ExtensionNotFound, UnsupportedAlgorithm) as error:
        raise InvalidArgument(f"no root certificate: {error}") from error
    if not constraints.ca:
        raise InvalidArgument("no root certificate: it may not sign others")
    return certificate


def _node_id(key: object) -> NodeId:
    return NodeId(new_id(Random(sha256(_public_bytes(key)).digest())))  # noqa: S311  a digest, not dice


def _load_request(request_pem: bytes) -> x509.CertificateSigningRequest:
    if len(request_pem) > limits.signing_request_bytes_max:
        raise InvalidArgument(f"a signing request of {len(request_pem)} bytes; a few hundred are usual")
    try:
        request = x509.load_pem_x509_csr(request_pem)
        key = request.public_key()
        signed = request.is_signature_valid
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm, InvalidSignature) as error:
        raise InvalidArgument(f"not a signing request in PEM (PKCS #10): {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, _CURVE):
        raise InvalidArgument("the signing request's key is not EC P-256, the only kind taken")
    if not signed:
        raise InvalidArgument("the signing request is not signed by its own key")
    return request


def _load_key(key_pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidArgument(f"not a private key in PEM: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InvalidArgument("the private key is not an elliptic curve key")
    return key


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_bytes(key: object) -> bytes:
    assert isinstance(key, ec.EllipticCurvePublicKey), type(key)
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _subject(identity: Identity) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, identity.node_id),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, identity.cluster_id),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, _UNITS[identity.role]),
        ]
    )


def _single(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    values = name.get_attributes_for_oid(oid)
    if len(values) != 1:
        raise ValueError(f"its subject has {len(values)} values for {oid.dotted_string}, not one")
    return str(values[0].value)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _issuer_key_id(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _time(ns: int) -> datetime:
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC)


def _ns(time: datetime) -> int:
    return int(time.timestamp()) * 1_000_000_000
