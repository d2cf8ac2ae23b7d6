"""A self-signed certificate for one run of the server; its key is on disk only while OpenSSL loads it."""

import datetime as dt
import ipaddress
import os
import socket
import ssl
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = dt.timedelta(days=30)
_USAGE = x509.KeyUsage(
    digital_signature=True, key_cert_sign=False, crl_sign=False, content_commitment=False, key_encipherment=False,
    data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
)  # fmt: skip


def make_certificate() -> tuple[bytes, bytes]:
    """A certificate for localhost and this machine's name, and its key (EC P-256): both PEM.

    The certificate is an end entity's and no authority's, which some clients insist on (mozilla::pkix, rustls-webpki),
    and has the extensions that others want (Apple: the extended usage; OpenSSL with X509_V_FLAG_X509_STRICT: the
    identifiers). A client that is given it as a trusted certificate accepts it.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    now = dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in dict.fromkeys(["localhost", *_own_name()])]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), secret


def _own_name() -> list[str]:
    """The name of this machine, where it is one that a certificate can hold."""
    name = socket.gethostname()
    return [name] if name.isascii() and name.isprintable() and 0 < len(name) < 64 else []


def load_self_signed(context: ssl.SSLContext) -> bytes:
    """Load a new certificate into a context: its DER. Raises OSError where the temporary file cannot be written."""
    certificate, secret = make_certificate()
    fd, path = tempfile.mkstemp(prefix="portside-", suffix=".pem")  # OpenSSL takes files only; mode 0600
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(certificate + secret)
        context.load_cert_chain(path)
    finally:
        os.unlink(path)
    return ssl.PEM_cert_to_DER_cert(certificate.decode())
