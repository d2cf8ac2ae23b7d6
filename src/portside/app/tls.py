"""TLS as settings ask for it, and what is said about it on standard error."""

from collections.abc import Callable

from portside.addresses import Address
from portside.app.notices import write_notice
from portside.client.dial import ClientConnection
from portside.client.tls import TlsSocket, client_context, speak_tls
from portside.settings.connect import Connect
from portside.wire.tls import fingerprint_of


def client_tls(settings: Connect, address: Address, timeout: float) -> Callable[[ClientConnection], ClientConnection]:
    """What makes a TLS connection of a plain one, in so many seconds. Raises PortsideError for a file."""
    context = client_context(
        verify=settings.tls_verify is not False,
        ca=settings.tls_ca,
        certificate=settings.tls_cert,
        key=settings.tls_key,
        alpn=settings.tls_alpn,
    )
    host = None if address.path is not None else (address.host or "localhost").partition("%")[0]
    name = settings.tls_servername or host

    def secure(connection: ClientConnection) -> ClientConnection:
        sock, tls = speak_tls(connection.sock, context, name, connection.peer, timeout)
        return ClientConnection(sock, connection.peer, connection.local, tls)

    return secure


def say_agreed(connection: ClientConnection) -> None:
    """Say what a handshake agreed on, and whose certificate the peer has."""
    tls, sock = connection.tls, connection.sock
    if tls is None or not isinstance(sock, TlsSocket):
        return
    alpn = "" if tls.alpn is None else f", alpn {tls.alpn}"
    write_notice(f"{tls.version} {tls.cipher}{alpn}")
    if sock.certificate is not None:
        write_notice(f"the peer's certificate: {tls.peer}, SHA-256 {fingerprint_of(sock.certificate)}")


def say_truncated(connection: ClientConnection) -> None:
    """Say that the peer ended without TLS's own end, where it did."""
    if isinstance(connection.sock, TlsSocket) and connection.sock.truncated:
        write_notice(f"{connection.peer} closed without a TLS close_notify: something may be missing at the end")
