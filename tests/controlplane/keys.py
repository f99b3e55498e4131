"""The keys and certificates of one control plane, good for a day.

Knows cryptography. Does not know which program reads which file.
"""

import base64
import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization import PublicFormat as Public
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
ADDRESSES = ("127.0.0.1", "10.96.0.1")
COORDINATE = 32  # octets of a P-256 number, RFC 7518 section 3.4


class Keys:
    """Files in a folder, made when the object is."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.authority = folder / "ca.crt"
        self.server_certificate, self.server_key = folder / "server.crt", folder / "server.key"
        self.account_key, self.account_public_key = folder / "sa.key", folder / "sa.pub"
        self._account = generate_private_key(SECP256R1())
        self._write_certificates()
        self.account_key.write_bytes(private(self._account))
        self.account_public_key.write_bytes(
            self._account.public_key().public_bytes(Encoding.PEM, Public.SubjectPublicKeyInfo)
        )

    def _write_certificates(self) -> None:
        authority, server = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
        root = authority_certificate(authority)
        leaf = server_certificate(server, root, authority)
        self.authority.write_bytes(root.public_bytes(Encoding.PEM))
        self.server_certificate.write_bytes(leaf.public_bytes(Encoding.PEM))
        self.server_key.write_bytes(private(server))

    def sign(self, claims: dict[str, Any]) -> str:
        """Return a JSON Web Token as the API server signs those of service accounts."""
        head = {"alg": "ES256", "typ": "JWT"}
        text = ".".join(unpadded(json.dumps(part).encode()) for part in (head, claims))
        r, s = decode_dss_signature(self._account.sign(text.encode(), ECDSA(SHA256())))
        signature = r.to_bytes(COORDINATE, "big") + s.to_bytes(COORDINATE, "big")
        return f"{text}.{unpadded(signature)}"


def unpadded(data: bytes) -> str:
    """Encode as RFC 7515 section 2 wants it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def private(key: EllipticCurvePrivateKey) -> bytes:
    """Return the key as PEM, without a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def authority_certificate(key: EllipticCurvePrivateKey) -> x509.Certificate:
    """Make the certificate that signs the server's and that clients trust."""
    name = common_name("kdns test authority")
    return (
        draft(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(sign_certificates=True), critical=True)
        .sign(key, SHA256())
    )


def server_certificate(
    key: EllipticCurvePrivateKey, root: x509.Certificate, authority: EllipticCurvePrivateKey
) -> x509.Certificate:
    """Make the API server's certificate, for the names that clients call it by."""
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in NAMES]
    names += [x509.IPAddress(ip_address(address)) for address in ADDRESSES]
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return (
        draft(common_name("kube-apiserver"), root.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(sign_certificates=False), critical=True)
        .add_extension(purpose, critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        # Without this identifier Python 3.13 and later refuse the certificate.
        .add_extension(issuer, critical=False)
        .sign(authority, SHA256())
    )


def draft(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    """Fill in what every certificate has."""
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def common_name(text: str) -> x509.Name:
    """Return a distinguished name of one part."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def usage(*, sign_certificates: bool) -> x509.KeyUsage:
    """Say what the key may do: sign certificates, or a TLS handshake."""
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
