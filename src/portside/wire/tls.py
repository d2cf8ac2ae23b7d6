"""TLS in words: what OpenSSL says of a failure, whose a certificate is, what a handshake agreed on."""

import errno
import hashlib
import os
import re
import ssl

from portside.errors import PortsideError
from portside.events import Tls
from portside.wire.escaping import escape

_MOST_WORDS = 200  # characters; a certificate's names come from the network in any length
_AROUND = re.compile(r"^\[[^\]]*\] ?| ?\(_ssl\.c:\d+\)$")
_PEM_WORDS = {"PEM lib": "no certificate with its key in PEM form is there"}


class TlsError(OSError):
    """TLS failed; ``strerror`` says why in OpenSSL's words."""

    def __init__(self, words: str) -> None:
        super().__init__(0, words)


def words_of(error: OSError) -> str:
    """Why TLS failed: ``certificate verify failed: certificate has expired``, without OpenSSL's numbers."""
    words = _AROUND.sub("", str(error.args[-1]) if error.args else "")
    return shortened(words) or type(error).__name__


def subject_of(certificate: bytes | None) -> str | None:
    """The subject of a certificate (DER) as RFC 4514 writes it: ``CN=localhost,O=Example``; None without one."""
    if certificate is None:
        return None
    from cryptography import x509

    try:
        return shortened(x509.load_der_x509_certificate(certificate).subject.rfc4514_string())
    except ValueError:
        return "unreadable"


def fingerprint_of(certificate: bytes) -> str:
    """The SHA-256 of a certificate (DER) as OpenSSL writes it: ``4F:2A:…``."""
    return hashlib.sha256(certificate).digest().hex(":").upper()


def shortened(text: str) -> str:
    """Text from the network, escaped and not too long to be shown."""
    words = escape(text.encode("utf-8", "surrogateescape"))
    return words if len(words) <= _MOST_WORDS else words[:_MOST_WORDS] + "…"


def agreed(tls: ssl.SSLObject, sni: str | None) -> Tls:
    """What a finished handshake agreed on. ``sni`` is the name that the client asked for."""
    cipher, alpn = tls.cipher(), tls.selected_alpn_protocol()
    return Tls(
        version=tls.version() or "",
        cipher=cipher[0] if cipher else "",
        sni=None if sni is None else shortened(sni),
        alpn=None if alpn is None else shortened(alpn),
        peer=subject_of(tls.getpeercert(binary_form=True)),
    )


# Contexts: what both ends make of files. What these raise is a PortsideError that names the file.


def log_keys(context: ssl.SSLContext) -> None:
    """Append the keys of each session to the file of SSLKEYLOGFILE, where that is set, for Wireshark."""
    path = os.environ.get("SSLKEYLOGFILE")
    if not path:
        return
    try:
        context.keylog_filename = path
    except OSError as error:
        raise PortsideError(f"SSLKEYLOGFILE {path}", error) from None


def load_own(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    """Load our certificate and its key; without ``key`` both are in one file."""
    what = f"--tls-cert {certificate}" + (f" and --tls-key {key}" if key is not None else "")
    try:
        context.load_cert_chain(certificate, key, _no_password)
    except OSError as error:
        hint = None
        if error.errno in (errno.ENOENT, errno.EACCES):
            readable = os.access(certificate, os.R_OK)
            what = f"--tls-key {key}" if readable and key is not None else f"--tls-cert {certificate}"
        elif isinstance(error, ssl.SSLError):
            error = TlsError(_PEM_WORDS.get(words_of(error), words_of(error)))
            hint = (
                "the key belongs after the certificate in its file, or is named by --tls-key" if key is None else None
            )
        raise PortsideError(what, error, hint) from None


def load_authorities(context: ssl.SSLContext, path: str) -> None:
    """Load the certificates of those whose signature is trusted."""
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise PortsideError(f"--tls-ca {path}", "no certificate in PEM form is in it") from None
    except OSError as error:
        raise PortsideError(f"--tls-ca {path}", error) from None


def _no_password() -> str:
    raise TlsError("the key is encrypted, and nobody is asked for its password")


def say_last(tls: ssl.SSLObject, incoming: ssl.MemoryBIO) -> None:
    """Have close_notify made, which says that our side has sent its last; the peer may go on (RFC 8446, section 6.1).

    OpenSSL is asked to send it and to take the peer's, and fails for good where data comes instead: what has come is
    kept from it meanwhile.
    """
    waiting = incoming.read()
    try:
        tls.unwrap()
    except ssl.SSLError:
        pass  # SSLWantReadError: it is sent, and the peer's is not here; any other: there is no session to end
    if waiting:
        incoming.write(waiting)
