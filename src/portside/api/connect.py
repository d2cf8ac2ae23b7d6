"""``portside.connect``: a connection in the loop of the program that opens it."""

import asyncio
import os
import socket
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Unpack

from portside.addresses import Address, format_sockaddr, parse_address
from portside.api.client_host import ClientHost
from portside.api.keywords import NOT_IN_CONNECT, make_settings
from portside.api.notices import log_notice
from portside.api.opening import Opening
from portside.behaviours.connection import Connection
from portside.behaviours.dialer import Dialer
from portside.client.dial import ClientConnection, ConnectOptions
from portside.errors import InvalidValue, PortsideError, UsageError
from portside.events import Tls
from portside.feed.transcript import DEFAULT_BYTES, Transcript
from portside.server.connection import Connection as ServerConnection
from portside.server.connection import ConnectionInfo
from portside.server.socket_transport import attach
from portside.settings.connect import Connect
from portside.settings.effects import check_address, check_connect, check_name
from portside.units import parse_size

if TYPE_CHECKING:
    import ssl

    from portside.api import options as option_types
    from portside.client.proxy import ProxyUrl

TlsOptions = tuple["ssl.SSLContext", str | None]
"""The context, and the name that the peer's certificate must have."""

_MOST_TIMEOUT_S = 1e6  # eleven days, as the command


def connect(
    address: str | int,
    *,
    transcript: "option_types.Size" = DEFAULT_BYTES,
    **options: "Unpack[option_types.ConnectOptions]",
) -> Opening[Connection]:
    """A connection to a server; to be entered with ``async with``, which closes it in order, or awaited.

    ``address`` is written as on the command line: ``12345`` (of localhost), ``"HOST:PORT"``, ``"unix:PATH"``; all
    addresses of a name are tried in order. ``transcript`` is how much of the connection's transcript is kept at most,
    in bytes or as ``"64k"``; 0 keeps none. All other keywords are options of ``portside connect``, as text or as
    values: ``timeout=2.5`` (seconds) or ``"500ms"``, ``tls=True``, ``retry=5``.

    Raises PortsideError, with the words of the command, where it cannot connect, and UsageError, a PortsideError too,
    for wrong options.

    >>> async with portside.connect("127.0.0.1:12345", timeout="2s") as connection:
    ...     await connection.send(b"hello\\n")
    ...     print(await connection.receive())
    b'hello\\n'
    """
    settings = make_settings(
        Connect, "connect", options, without=NOT_IN_CONNECT, also={"target": (str(address),), "format": "text"}
    )
    try:
        where = parse_address(str(address))
        limit = parse_size(str(transcript))
        proxy = _proxy(settings, where)
    except InvalidValue as problem:
        raise UsageError("connect", str(problem)) from None
    check_address(settings, where)
    check_name(settings, where)
    check_connect(settings, where)
    return Opening(partial(_open, settings, where, proxy, limit))


def _proxy(settings: Connect, address: Address) -> "ProxyUrl | None":
    if settings.proxy is None:
        return None
    from portside.client.proxy import parse_proxy

    if address.path is not None:
        raise UsageError("connect", "a proxy leads to no unix socket")
    return parse_proxy(settings.proxy)


async def _open(settings: Connect, address: Address, proxy: "ProxyUrl | None", transcript_bytes: int) -> Connection:
    """Connect; where that fails again, as often as ``retry`` says."""
    tls: TlsOptions | None = None
    if settings.tls:
        from portside.app.connect_tls import client_tls

        tls = await asyncio.to_thread(client_tls, settings, address)
    tries = settings.retry
    while True:
        try:
            return await _attempt(settings, address, proxy, tls, transcript_bytes)
        except UsageError:
            raise
        except PortsideError as error:
            if tries is not None:
                if tries <= 0:
                    raise
                tries -= 1
            log_notice(f"{error}; trying again in {settings.retry_interval:g}s")
        await asyncio.sleep(settings.retry_interval)


class _Dialled(NamedTuple):
    sock: socket.socket
    peer: str
    local: str


async def _attempt(
    settings: Connect, address: Address, proxy: "ProxyUrl | None", tls: TlsOptions | None, transcript_bytes: int
) -> Connection:
    family = socket.AF_INET if settings.ipv4 else socket.AF_INET6 if settings.ipv6 else socket.AF_UNSPEC
    timeout = min(settings.timeout, _MOST_TIMEOUT_S)
    options = ConnectOptions(timeout, family, settings.source, settings.keepalive)
    dialled = await (_dial(address, options) if proxy is None else _dial_through(proxy, address, options))
    try:
        transcript = Transcript(transcript_bytes, encoding=settings.encoding)
        host = ClientHost(asyncio.get_running_loop(), settings, transcript)
    except BaseException:
        dialled.sock.close()
        raise
    try:
        if tls is not None:
            await _attach_tls(host, dialled, tls, timeout)
        else:
            protocol = _protocol(host, dialled, None)
            attach(host.poller, dialled.sock, protocol)
    except BaseException:
        dialled.sock.close()  # where no transport has taken its descriptor
        host.discard()
        raise
    return host.connection


def _protocol(host: ClientHost, dialled: _Dialled, tls: Tls | None) -> ServerConnection:
    return host.make_connection(ConnectionInfo(dialled.peer, dialled.local, None, tls))


async def _dial(address: Address, options: ConnectOptions) -> _Dialled:
    sock = await Dialer(address, options).dial()
    try:
        if address.path is not None:
            return _Dialled(sock, str(address), f"unix:pid={os.getpid()}")
        peer, local = (format_sockaddr(sock.family, each) for each in (sock.getpeername(), sock.getsockname()))
        return _Dialled(sock, peer, local)
    except OSError as error:  # the peer has reset the connection already
        sock.close()
        raise PortsideError(f"cannot connect to {address}", error) from None


async def _dial_through(proxy: "ProxyUrl", address: Address, options: ConnectOptions) -> _Dialled:
    """Connect through a proxy, on a thread; whoever is cancelled does not wait for it."""
    from portside.client.proxy import connect_through

    dialling = asyncio.get_running_loop().run_in_executor(None, connect_through, proxy, address, options)
    try:
        through = await asyncio.shield(dialling)
    except asyncio.CancelledError:
        dialling.add_done_callback(_discard)
        raise
    return _Dialled(through.sock, through.peer, through.local)


def _discard(dialling: "asyncio.Future[ClientConnection]") -> None:
    """Close the socket that was connected for somebody who does not wait for it any more."""
    if not dialling.cancelled() and dialling.exception() is None:
        dialling.result().sock.close()


async def _attach_tls(host: ClientHost, dialled: _Dialled, tls: TlsOptions, timeout_s: float) -> None:
    from portside.app.connect_tls import tls_failure
    from portside.server.tls_transport import client_handshake

    context, name = tls
    try:
        async with asyncio.timeout(timeout_s):
            await client_handshake(
                context,
                partial(_protocol, host, dialled),
                partial(attach, host.poller, dialled.sock),
                server_hostname=name,
                timeout_s=_MOST_TIMEOUT_S,
                linger_s=0.0,  # the program may end at once
            )
    except OSError as error:  # TimeoutError and TlsError too
        raise tls_failure(dialled.peer, error, timeout_s) from None
