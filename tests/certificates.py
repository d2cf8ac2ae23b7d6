"""Certificates for tests: an authority, and the certificates that it signs."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)
_SIGNS = x509.KeyUsage(
    digital_signature=False, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
    data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
)  # fmt: skip


NAMES = ("localhost", "127.0.0.1")


class CertificateFiles(NamedTuple):
    """The paths of PEM files."""

    certificate: str
    key: str


class Authority:
    """A certificate authority for ``localhost`` and 127.0.0.1; ``path`` is its own certificate.

    One with an issuer is an intermediate authority.
    """

    def __init__(self, folder: Path, name: str = "Test CA", issuer: "Authority | None" = None) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.path = str(folder / f"{name}.pem")
        above = issuer or self
        certificate = _signed(self._name, self._key.public_key(), above._name, above._key, days=(-1, 1), ca=True)
        Path(self.path).write_bytes(certificate)

    def sign(self, name: str, days: tuple[int, int] = (-1, 1), names: Sequence[str] = NAMES) -> CertificateFiles:
        """A certificate whose subject is ``name``; ``days`` are the first and last day of validity, from now.

        ``names`` are the hosts and IP addresses that it is for.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        files = CertificateFiles(str(self._folder / f"{name}.crt"), str(self._folder / f"{name}.key"))
        Path(files.certificate).write_bytes(
            _signed(subject, key.public_key(), self._name, self._key, days=days, names=names)
        )
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        Path(files.key).write_bytes(secret)
        return files

    def sign_name(self, subject: x509.Name, key_path: str) -> bytes:
        """A certificate (PEM) for any subject, with the key that is in a file."""
        key = serialization.load_pem_private_key(Path(key_path).read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return _signed(subject, key.public_key(), self._name, self._key, days=(-1, 1))


def unverified_context() -> ssl.SSLContext:
    """A client's TLS context that accepts any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _signed(
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    *,
    days: tuple[int, int],
    ca: bool = False,
    names: Sequence[str] = NAMES,
) -> bytes:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    if ca:
        builder = builder.add_extension(_SIGNS, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
