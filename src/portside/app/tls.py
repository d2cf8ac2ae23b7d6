"""TLS contexts made from settings; an error in a file names the option that named the file."""

import os
import sys
from typing import TYPE_CHECKING

from portside.app.notices import Notify, write_notice
from portside.errors import PortsideError
from portside.tls import contexts
from portside.tls.contexts import TlsFileError
from portside.tls.words import TlsError, fingerprint_of

if TYPE_CHECKING:
    import ssl
    from sys import UnraisableHookArgs

    from portside.settings.client_tls import ClientTls
    from portside.settings.listen import Listen
    from portside.settings.web_page import WebPage

_KEY_HINT = "the key belongs after the certificate in its file, or is named by --tls-key"


def server_context(settings: "Listen", notify: Notify = write_notice) -> "ssl.SSLContext":
    """The context for the clients of ``listen``; ``notify`` gets the fingerprint of a self-signed certificate.

    Raises PortsideError where a file is not good.
    """
    try:
        context, self_signed = contexts.server_context(
            certificate=settings.tls_cert,
            key=settings.tls_key,
            key_password=settings.tls_key_password_file,
            ca=settings.tls_ca,
            verify=settings.tls_verify,
            alpn=settings.tls_alpn,
            key_log=_key_log(),
        )
    except TlsFileError as error:
        raise _own_file_error(error, settings) from None
    if self_signed is not None:
        notify(f"a throw-away certificate, SHA-256 {fingerprint_of(self_signed)}", None)
    return context


def web_context(settings: "WebPage") -> "ssl.SSLContext":
    """The context of the page; the fingerprint of a self-signed certificate goes to standard error.

    Raises PortsideError where a file is not good.
    """
    cert, key = settings.web_tls_cert, settings.web_tls_key
    try:
        context, self_signed = contexts.server_context(certificate=cert, key=key)
    except TlsFileError as error:
        named = {"certificate": f"--web-tls-cert {cert}", "key": f"--web-tls-key {key}"}
        both = f"--web-tls-cert {cert}" + (f" and --web-tls-key {key}" if key else "")
        raise PortsideError(named.get(error.role, both), error.why) from None
    if self_signed is not None:
        write_notice(f"the page has a throw-away certificate, SHA-256 {fingerprint_of(self_signed)}")
    return context


def client_context(settings: "ClientTls") -> "ssl.SSLContext":
    """The context of a client. Raises PortsideError where a file is not good."""
    try:
        return contexts.client_context(
            verify=settings.tls_verify is not False,
            ca=settings.tls_ca,
            certificate=settings.tls_cert,
            key=settings.tls_key,
            key_password=settings.tls_key_password_file,
            alpn=settings.tls_alpn,
            key_log=_key_log(),
        )
    except TlsFileError as error:
        raise _own_file_error(error, settings) from None


def upstream_context(settings: "Listen") -> "ssl.SSLContext":
    """The context for the upstream server of ``listen --forward``. Raises PortsideError where a file is not good."""
    try:
        return contexts.client_context(
            verify=settings.forward_tls_verify is not False, ca=settings.forward_tls_ca, key_log=_key_log()
        )
    except TlsFileError as error:
        is_ca = error.role == "authorities"
        what = f"--forward-tls-ca {settings.forward_tls_ca}" if is_ca else f"SSLKEYLOGFILE {_key_log()}"
        raise PortsideError(what, error.why) from None


def _key_log() -> str | None:
    """The file to which session secrets are appended, for Wireshark."""
    return os.environ.get("SSLKEYLOGFILE") or None


def _own_file_error(error: TlsFileError, settings: "Listen | ClientTls") -> PortsideError:
    """The error with the option of the file, and what to do about it."""
    hint = None
    if error.role == "certificate and key":
        if isinstance(error.why, TlsError) and error.why.reason == contexts.KEY_ENCRYPTED:
            hint = "--tls-key-password-file FILE has its password in the first line"
        elif settings.tls_key is None and error.is_content:
            hint = _KEY_HINT
    both = f"--tls-cert {settings.tls_cert}" + (f" and --tls-key {settings.tls_key}" if settings.tls_key else "")
    what = {
        "certificate": f"--tls-cert {settings.tls_cert}",
        "key": f"--tls-key {settings.tls_key}",
        "certificate and key": both,
        "key password": f"--tls-key-password-file {settings.tls_key_password_file}",
        "authorities": f"--tls-ca {settings.tls_ca}",
        "key log": f"SSLKEYLOGFILE {_key_log()}",
    }
    return PortsideError(what[error.role], error.why, hint)


def silence_wrong_names() -> None:
    """Have the process say nothing about clients whose SNI is no ASCII; for a command, which is a process's own."""
    sys.unraisablehook = _unraisable


def _unraisable(unraisable: "UnraisableHookArgs") -> None:
    """Keep silent about a client's SNI that is not ASCII: its handshake fails, which is an event of its own.

    Python's ssl module reports it in no other way.
    """
    if not isinstance(unraisable.exc_value, UnicodeDecodeError):
        sys.__unraisablehook__(unraisable)
