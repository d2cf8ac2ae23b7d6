"""TLS for ``connect``: the handshake on a new connection, and the notices about it on standard error."""

import ssl
from collections.abc import Callable

from portside.addresses import Address
from portside.app.notices import write_notice
from portside.app.tls import client_context
from portside.client.dial import ClientConnection, display_name
from portside.client.tls_socket import TlsSocket
from portside.errors import InvalidValue, PortsideError
from portside.hostnames import tls_host
from portside.settings.client_tls import ClientTls
from portside.settings.connect import Connect
from portside.tls.words import NO_TLS, TlsError, fingerprint_of

_SPEAKS_TLS = "does it speak TLS on this port?"
_HINTS = {
    "CERTIFICATE_VERIFY_FAILED": "--tls-ca FILE says who may have signed it, --tls-servername NAME whose it may be; "
    "--no-tls-verify takes any",
    NO_TLS: "without --tls it may answer",
    "UNEXPECTED_MESSAGE": _SPEAKS_TLS,  # it sends back what it gets, for one
}


def make_tls_starter(
    settings: Connect, address: Address, timeout_s: float
) -> Callable[[ClientConnection], ClientConnection]:
    """A function that does the TLS handshake on a connection, within a timeout, and returns the TLS connection.

    Files are read now. Raises PortsideError for one that is not good, as does the function where the handshake fails.
    """
    context, name = client_tls(settings, address)
    return lambda connection: _start_tls(connection, context, name, timeout_s)


def client_tls(settings: ClientTls, address: Address) -> tuple[ssl.SSLContext, str | None]:
    """The context of a connection, and the name that the peer's certificate must have. Raises PortsideError."""
    context = client_context(settings)
    host = None if address.path is not None else address.host or "localhost"
    wanted = settings.tls_servername or host
    try:
        return context, None if wanted is None else tls_host(wanted)
    except InvalidValue as problem:
        raise PortsideError(f"no TLS with {display_name(address)}", str(problem)) from None


def _start_tls(
    connection: ClientConnection, context: ssl.SSLContext, server_hostname: str | None, timeout_s: float
) -> ClientConnection:
    """Shake hands on a connection, which is closed where that fails. Raises PortsideError."""
    what = f"no TLS with {connection.peer}"
    try:
        sock = TlsSocket(connection.sock, context, server_hostname)
    except ValueError as error:  # a name that cannot be a host's
        connection.sock.close()
        raise PortsideError(what, str(error)) from None
    try:
        return connection._replace(sock=sock, tls=sock.handshake(timeout_s))
    except OSError as error:
        sock.close()
        raise tls_failure(connection.peer, error, timeout_s) from None


def tls_failure(peer: str, error: OSError, timeout_s: float) -> PortsideError:
    """A handshake that failed, in words, and what to do about it."""
    what = f"no TLS with {peer}"
    if isinstance(error, TlsError):
        return PortsideError(what, error, _HINTS.get(error.reason) if error.reason else _SPEAKS_TLS)
    if isinstance(error, TimeoutError):
        return PortsideError(what, f"no handshake within {timeout_s:g}s", _SPEAKS_TLS)
    return PortsideError(what, error)


def report_handshake(connection: ClientConnection) -> None:
    """Say what a handshake agreed on, and whose certificate the peer has."""
    tls, sock = connection.tls, connection.sock
    if tls is None or not isinstance(sock, TlsSocket):
        return
    alpn = "" if tls.alpn is None else f", alpn {tls.alpn}"
    write_notice(f"{tls.version} {tls.cipher}{alpn}")
    if sock.peer_certificate is not None:
        write_notice(f"the peer's certificate: {tls.peer}, SHA-256 {fingerprint_of(sock.peer_certificate)}")


def report_truncation(connection: ClientConnection) -> None:
    """Say that the peer ended without close_notify, where it did."""
    if isinstance(connection.sock, TlsSocket) and connection.sock.is_truncated:
        write_notice(f"{connection.peer} closed without a TLS close_notify: something may be missing at the end")
