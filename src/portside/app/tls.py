"""TLS contexts made from settings; an error in a file names the option that named the file."""

import os
import sys
from typing import TYPE_CHECKING

from portside.app.notices import write_notice
from portside.errors import PortsideError
from portside.tls import contexts
from portside.tls.contexts import TlsFileError
from portside.tls.words import fingerprint_of

if TYPE_CHECKING:
    import ssl
    from sys import UnraisableHookArgs

    from portside.settings.connect import Connect
    from portside.settings.listen import Listen

_KEY_HINT = "the key belongs after the certificate in its file, or is named by --tls-key"


def server_context(settings: "Listen") -> "ssl.SSLContext":
    """The context for the clients of ``listen``; the fingerprint of a self-signed certificate goes to standard error.

    Raises PortsideError where a file is not good.
    """
    try:
        context, self_signed = contexts.server_context(
            certificate=settings.tls_cert,
            key=settings.tls_key,
            ca=settings.tls_ca,
            verify=settings.tls_verify,
            alpn=settings.tls_alpn,
            key_log=_key_log(),
        )
    except TlsFileError as error:
        raise _file_error(error, settings.tls_cert, settings.tls_key, settings.tls_ca) from None
    sys.unraisablehook = _unraisable
    if self_signed is not None:
        write_notice(f"a throw-away certificate, SHA-256 {fingerprint_of(self_signed)}")
    return context


def client_context(settings: "Connect") -> "ssl.SSLContext":
    """The context of ``connect``. Raises PortsideError where a file is not good."""
    try:
        return contexts.client_context(
            verify=settings.tls_verify is not False,
            ca=settings.tls_ca,
            certificate=settings.tls_cert,
            key=settings.tls_key,
            alpn=settings.tls_alpn,
            key_log=_key_log(),
        )
    except TlsFileError as error:
        raise _file_error(error, settings.tls_cert, settings.tls_key, settings.tls_ca) from None


def upstream_context(settings: "Listen") -> "ssl.SSLContext":
    """The context for the upstream server of ``listen --forward``. Raises PortsideError where a file is not good."""
    try:
        return contexts.client_context(
            verify=settings.forward_tls_verify is not False, ca=settings.forward_tls_ca, key_log=_key_log()
        )
    except TlsFileError as error:
        raise _file_error(error, None, None, settings.forward_tls_ca) from None


def _key_log() -> str | None:
    """The file to which session secrets are appended, for Wireshark."""
    return os.environ.get("SSLKEYLOGFILE") or None


def _file_error(error: TlsFileError, certificate: str | None, key: str | None, ca: str | None) -> PortsideError:
    """The error with the file as it was given."""
    hint = None
    match error.role:
        case "certificate":
            what = f"--tls-cert {certificate}"
        case "key":
            what = f"--tls-key {key}"
        case "authorities":
            what = f"--tls-ca {ca}"
        case "key log":
            what = f"SSLKEYLOGFILE {_key_log()}"
        case "certificate and key":
            what = f"--tls-cert {certificate}" + (f" and --tls-key {key}" if key is not None else "")
            hint = _KEY_HINT if key is None and error.is_content else None
    return PortsideError(what, error.why, hint)


def _unraisable(unraisable: "UnraisableHookArgs") -> None:
    """Keep silent about a client's SNI that is not ASCII: its handshake fails, which is an event of its own.

    Python's ssl module reports it in no other way.
    """
    if not isinstance(unraisable.exc_value, UnicodeDecodeError):
        sys.__unraisablehook__(unraisable)
