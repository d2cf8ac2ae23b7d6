"""TLS described for users: OpenSSL's reason for a failure, the subject and the fingerprint of a certificate."""

import hashlib
import re
import ssl

from portside.wire.escaping import escape

_MOST_CHARACTERS = 200  # a certificate's names come from the network in any length
_LIBRARY_AND_LINE = re.compile(r"^\[[^\]]*\] ?| ?\(_ssl\.c:\d+\)$")


class TlsError(OSError):
    """A failure of TLS; ``strerror`` is OpenSSL's text for the reason.

    ``reason`` is OpenSSL's symbol of it, ``CERTIFICATE_VERIFY_FAILED`` for example; None where OpenSSL has none.
    """

    def __init__(self, words: str, reason: str | None = None) -> None:
        super().__init__(0, words)
        self.reason = reason


NO_TLS = "NO_TLS"  # the reason of a TlsError that OpenSSL has no symbol for: the peer speaks something else


def no_tls(first_bytes: bytes) -> TlsError:
    """The failure of a handshake with a peer that began with these bytes in place of TLS."""
    return TlsError(f"it spoke no TLS: its first bytes are '{escape(first_bytes)}'", NO_TLS)


def tls_error(error: OSError) -> TlsError:
    """A TlsError for an error of Python's ssl module, in words that can be shown."""
    return TlsError(describe_error(error), error.reason if isinstance(error, ssl.SSLError) else None)


def describe_error(error: OSError) -> str:
    """The reason why TLS failed: ``certificate verify failed: certificate has expired``, without OpenSSL's numbers."""
    words = _LIBRARY_AND_LINE.sub("", str(error.args[-1]) if error.args else "")
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
    """Text from the network, escaped, and cut where it is too long to be shown."""
    words = escape(text.encode("utf-8", "surrogateescape"))
    return words if len(words) <= _MOST_CHARACTERS else words[:_MOST_CHARACTERS] + "…"
