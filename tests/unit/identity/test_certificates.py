from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from covey.errors import InvalidArgument, Unauthenticated
from covey.identity import (
    MANAGER_NAME,
    Identity,
    NodeIdentity,
    create_request,
    create_root,
    new_key,
    node_id_of,
    read_peer,
    sign_request,
)
from covey.model.states import NodeRole

CLUSTER = "0123456789abcdefghijklmno"
NOW_NS = 1_700_000_000_000_000_000
DAY_NS = 86_400 * 1_000_000_000
ROOT = create_root(CLUSTER, NOW_NS)
KEY = new_key()
REQUEST = create_request(KEY)
NODE = node_id_of(REQUEST)


def issue(role: NodeRole = NodeRole.WORKER) -> bytes:
    return sign_request(ROOT, REQUEST, Identity(NODE, CLUSTER, role), NOW_NS, 90 * DAY_NS)


def extension(pem: bytes, kind: type) -> object:
    return x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(kind).value


@pytest.mark.parametrize("role", list(NodeRole))
def test_a_certificate_says_who_its_node_is(role: NodeRole) -> None:
    peer = read_peer(issue(role))
    assert peer.identity == Identity(NODE, CLUSTER, role)
    assert peer.not_before_ns == NOW_NS - 3_600 * 1_000_000_000
    assert peer.not_after_ns == NOW_NS + 90 * DAY_NS


def test_only_a_managers_certificate_bears_the_name_that_clients_demand() -> None:
    names = {
        role: extension(issue(role), x509.SubjectAlternativeName).get_values_for_type(x509.DNSName)
        for role in NodeRole
    }
    own = f"{NODE}.node.covey.internal"
    assert names == {NodeRole.WORKER: [own], NodeRole.MANAGER: [own, MANAGER_NAME]}


def test_a_worker_may_not_serve() -> None:
    assert list(extension(issue(), x509.ExtendedKeyUsage)) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_key_has_one_node_id() -> None:
    assert node_id_of(create_request(KEY)) == NODE
    assert node_id_of(create_request(new_key())) != NODE


def test_the_root_lasts_twenty_years_and_signs_no_further_authorities() -> None:
    root = x509.load_pem_x509_certificate(ROOT.certificate_pem)
    assert root.not_valid_after_utc - root.not_valid_before_utc == timedelta(days=20 * 365)
    assert extension(ROOT.certificate_pem, x509.BasicConstraints) == x509.BasicConstraints(True, 0)


def test_a_request_by_another_kind_of_key_is_refused() -> None:
    for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())):
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        request = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        with pytest.raises(InvalidArgument, match="EC P-256"):
            node_id_of(request)


def test_a_request_not_signed_by_its_own_key_is_refused() -> None:
    der = bytearray(x509.load_pem_x509_csr(REQUEST).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    try:
        forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    except ValueError:
        pytest.skip("the flipped bit broke the encoding")
    with pytest.raises(InvalidArgument, match="not signed by its own key"):
        node_id_of(forged)


@pytest.mark.parametrize("pem", [b"", b"hello", KEY, ROOT.certificate_pem, b"x" * 20_000])
def test_what_is_no_request_is_refused(pem: bytes) -> None:
    with pytest.raises(InvalidArgument, match="signing request"):
        node_id_of(pem)


def certificate_with(*subject: tuple[x509.ObjectIdentifier, str]) -> bytes:
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in subject])
    root = x509.load_pem_x509_certificate(ROOT.certificate_pem)
    key = serialization.load_pem_private_key(ROOT.key_pem, None)
    start, end = root.not_valid_before_utc, root.not_valid_after_utc
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, end)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


CN = (NameOID.COMMON_NAME, NODE)
ORG = (NameOID.ORGANIZATION_NAME, CLUSTER)
WORKER, MANAGER, ROOT_UNIT = (
    (NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in ("covey-worker", "covey-manager", "root")
)


@pytest.mark.parametrize(
    "subject",
    [
        [],
        [CN, ORG],
        [CN, ORG, ROOT_UNIT],
        [(NameOID.COMMON_NAME, "m1"), ORG, MANAGER],
        [CN, ORG, WORKER, MANAGER],
        [CN, CN, ORG, WORKER],
        [CN, MANAGER],
    ],
)
def test_a_certificate_that_does_not_name_one_node_and_role_proves_nothing(
    subject: list[tuple[x509.ObjectIdentifier, str]],
) -> None:
    with pytest.raises(Unauthenticated):
        read_peer(certificate_with(*subject))


def test_parts_that_do_not_belong_together_make_no_identity() -> None:
    certificate = issue()
    NodeIdentity.of(KEY, certificate, ROOT.certificate_pem)
    with pytest.raises(InvalidArgument, match="another key"):
        NodeIdentity.of(new_key(), certificate, ROOT.certificate_pem)
    with pytest.raises(InvalidArgument, match="not one of this cluster's root"):
        NodeIdentity.of(KEY, certificate, create_root(CLUSTER, NOW_NS).certificate_pem)


def test_an_identity_does_not_show_its_key_by_accident() -> None:
    identity = NodeIdentity.of(KEY, issue(), ROOT.certificate_pem)
    assert "PRIVATE" not in repr(identity)
