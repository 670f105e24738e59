"""Certificates for tests of TLS: an authority, what it vouches for, and what nobody should trust."""

from __future__ import annotations

import datetime
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Certificates:
    """Files in PEM: authorities, and each server certificate with its chain and key in one file."""

    def __init__(self, folder: Path) -> None:
        """Make them all."""
        now = datetime.datetime.now(datetime.timezone.utc)
        authority = trustme.CA(organization_name="The tests' authority")
        self.authority = str(folder / "authority.pem")
        authority.cert_pem.write_to_path(self.authority)
        self.other_authority = str(folder / "other_authority.pem")
        trustme.CA(organization_name="Somebody else's authority").cert_pem.write_to_path(self.other_authority)

        server = authority.issue_cert("localhost", "127.0.0.1", "::1")
        self.server = self._write(folder / "server.pem", server)
        # The same in two files, as most servers want it.
        self.server_chain = str(folder / "server_chain.pem")
        self.server_key = str(folder / "server_key.pem")
        Path(self.server_chain).write_bytes(b"".join(part.bytes() for part in server.cert_chain_pems))
        server.private_key_pem.write_to_path(self.server_key)
        leaf = x509.load_pem_x509_certificate(server.cert_chain_pems[0].bytes())
        self.server_public_key = leaf.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

        self.other_host = self._write(folder / "other_host.pem", authority.issue_cert("example.org"))
        expired = authority.issue_cert("localhost", "127.0.0.1", not_before=now - 2 * DAY, not_after=now - DAY)
        self.expired = self._write(folder / "expired.pem", expired)
        self.self_signed = str(folder / "self_signed.pem")
        Path(self.self_signed).write_bytes(self_signed("localhost", now))

    @staticmethod
    def _write(path: Path, made: trustme.LeafCert) -> str:
        made.private_key_and_cert_chain_pem.write_to_path(str(path))
        return str(path)


def self_signed(host: str, now: datetime.datetime) -> bytes:
    """A certificate for a host that vouches for itself, with its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
