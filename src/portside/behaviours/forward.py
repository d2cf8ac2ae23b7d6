"""``--forward``: a relay that neither side sees, and that shows what passes.

A task connects the upstream leg of a client when the client is connected, and ends then; from then on both legs are
callback protocols (``upstream`` says how one passes its end to the other). What the client sends meanwhile is queued.
"""

import asyncio
import math
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import chain

from portside.addresses import Address, format_sockaddr
from portside.behaviours.dialer import Dialer
from portside.behaviours.upstream import Upstream
from portside.client.dial import ConnectOptions, display_name
from portside.errors import InvalidValue, PortsideError, reason_of
from portside.events import CloseReason, Forwarded
from portside.hostnames import tls_host
from portside.server.behaviour import Behaviour
from portside.server.connection import Connection, Publish
from portside.server.leg import Hold
from portside.server.own_addresses import OwnAddresses
from portside.server.socket_transport import attach
from portside.wire.proxy_header import endpoint_of

PATIENCE_S = 0.5  # that the end of the run waits for an upstream that takes nothing
Endpoint = tuple[str, int]
EncodeHeader = Callable[[Endpoint | None, Endpoint | None], bytes]
_RESETS: tuple[CloseReason, ...] = ("peer_reset", "local_reset", "killed", "error")
_TIMEOUTS: tuple[CloseReason, ...] = ("idle_timeout", "write_timeout", "peer_vanished")


class Forward(Behaviour):
    """Connects each client with ``address``, over TLS where there is a context.

    ``encode_header`` makes the PROXY header that comes first from the addresses of the client and of this side (None
    where one is no IP address); without it no header is sent. ``timeout`` (s) is for connecting and for the handshake,
    each, ``keepalive`` (s) as in ``sockopts.set_keepalive``. The addresses ``own`` are not connected to: they would
    be relayed again. ``publish`` takes an event for each client that has its connection to the upstream server.

    More attributes than a class should have: seven say how to connect, the others who is connected.
    """

    def __init__(
        self,
        address: Address,
        *,
        tls: ssl.SSLContext | None = None,
        encode_header: EncodeHeader | None = None,
        timeout: float = 10.0,
        keepalive: float | None = None,
        own: OwnAddresses | None = None,
        publish: Publish = lambda _event, _size=0: None,
    ) -> None:
        self._publish = publish
        self._address = address
        self._tls = tls
        self._encode_header = encode_header
        self._timeout = timeout
        self._dialer = Dialer(address, ConnectOptions(timeout, keepalive=keepalive), own)
        self._legs: dict[Connection, Upstream] = {}
        self._dials: dict[Connection, asyncio.Task[None]] = {}
        self._flushing: set[Upstream] = set()  # legs whose client is gone, and that still have bytes to send
        self._paused = False

    def opened(self, connection: Connection) -> None:
        # How long one side lets the other wait is theirs to decide: the relay closes neither for it.
        connection.set_write_timeout(math.inf)
        loop = asyncio.get_running_loop()
        leg = self._legs[connection] = Upstream(connection)
        if self._paused:
            leg.pause_reading(Hold.FEED)
        self._dials[connection] = loop.create_task(self._dial(connection, leg))

    async def _dial(self, connection: Connection, leg: Upstream) -> None:
        try:
            await self._connect(connection, leg)
        except PortsideError as error:
            leg.dial_failed(str(error))
        except (OSError, InvalidValue) as error:  # of TLS too
            leg.dial_failed(f"cannot connect to {display_name(self._address)}: {reason_of(error)}")
        finally:
            self._dials.pop(connection, None)

    async def _connect(self, connection: Connection, leg: Upstream) -> None:
        header = b""
        if self._encode_header is not None:
            header = self._encode_header(endpoint_of(connection.peer), endpoint_of(connection.info.local))
        # Faults of this leg stand between it and its transport.
        protocol = leg if connection.faults is None else connection.faults.wrap_upstream(leg)
        sock = await self._dialer.dial(header)
        self._publish(Forwarded(time.time_ns(), connection.number, connection.peer, self._name_of(sock)))
        try:
            if self._tls is None:
                attach(connection.poller, sock, protocol)
            else:
                await self._shake_hands(connection, sock, protocol, self._tls)
        except BaseException:
            sock.close()
            raise

    def _name_of(self, sock: socket.socket) -> str:
        """The address that has accepted a connection; as it was given where it has reset the connection since."""
        try:
            return format_sockaddr(sock.family, sock.getpeername())
        except OSError:
            return display_name(self._address)

    async def _shake_hands(
        self, connection: Connection, sock: socket.socket, protocol: asyncio.Protocol, context: ssl.SSLContext
    ) -> None:
        from portside.server.tls_transport import client_handshake

        name = tls_host(self._address.host or "localhost")
        over_tls = partial(attach, connection.poller, sock)
        await client_handshake(context, lambda _: protocol, over_tls, server_hostname=name, timeout_s=self._timeout)

    def received(self, connection: Connection, data: bytes) -> None:
        self._legs[connection].send(data)

    def half_closed(self, connection: Connection) -> bool:
        self._legs[connection].write_eof()
        return True

    def writable(self, connection: Connection) -> None:
        leg = self._legs.get(connection)
        if leg is not None:
            leg.resume_reading(Hold.FLOW)

    def closed(self, connection: Connection, reason: CloseReason) -> None:
        dial = self._dials.pop(connection, None)
        if dial is not None:
            dial.cancel()
        leg = self._legs.pop(connection, None)
        if leg is None:
            return
        by_fault = connection.faults is not None and connection.faults.was_reset
        leg.client_closed(reset=reason in _RESETS or by_fault, flush=reason not in _TIMEOUTS)
        if leg.buffered_bytes:
            self._flushing = {each for each in (*self._flushing, leg) if each.buffered_bytes}

    def is_active(self, connection: Connection) -> bool:
        leg = self._legs.get(connection)
        return leg is not None and leg.is_active()

    def upstream_leg(self, connection: Connection) -> Upstream | None:
        leg = self._legs.get(connection)
        return leg if leg is not None and leg.is_open else None

    def legs(self) -> Iterable[Upstream]:
        return chain(self._legs.values(), self._flushing)

    def paused(self) -> None:
        self._paused = True
        for leg in self._legs.values():
            leg.pause_reading(Hold.FEED)

    def resumed(self) -> None:
        self._paused = False
        for leg in self._legs.values():
            leg.resume_reading(Hold.FEED)

    async def end(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                for leg in self._flushing:
                    await leg.wait_closed()
        for leg in self._flushing:
            leg.abort()
        await asyncio.sleep(0)
