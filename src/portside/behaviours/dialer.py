"""Connecting on the event loop: tries the addresses of a name in order, as ``client.dial`` does with blocking calls."""

import asyncio
import errno
import logging
import os
import socket
import threading

from portside.addresses import Address
from portside.client.dial import (
    Candidate,
    ConnectOptions,
    describe_failures,
    display_name,
    open_socket,
    refuse_self_connection,
    resolve,
)
from portside.errors import PortsideError
from portside.hostnames import ip_of_host
from portside.server.own_addresses import OwnAddresses

_FULL_BACKLOG_S = 0.02  # between two tries where the backlog of a unix socket's server is full
_log = logging.getLogger("portside.behaviours.dial")


class Dialer:
    """Connects to one address, any number of times."""

    def __init__(self, address: Address, options: ConnectOptions, own: OwnAddresses | None = None) -> None:
        self._address = address
        self._options = options
        self._own = own
        self._resolving: asyncio.Future[list[Candidate]] | None = None

    async def dial(self, header: bytes = b"") -> socket.socket:
        """Connect to the first of the address's candidates that accepts, and send it ``header``.

        Raises PortsideError where none does; its text gives the reason of each.
        """
        candidates = await self._candidates()
        failures: list[tuple[Candidate, OSError]] = []
        for candidate in candidates:
            try:
                self._refuse_own(candidate)
                return await self._dial_one(candidate, header)
            except OSError as error:
                _log.debug("cannot connect to %s: %s", candidate.sockaddr, error)
                failures.append((candidate, error))
        raise PortsideError(
            f"cannot connect to {display_name(self._address)}", *describe_failures(failures, self._options)
        )

    def _refuse_own(self, candidate: Candidate) -> None:
        if self._own is not None and self._own.contains(candidate.family, candidate.sockaddr):
            raise OSError(errno.ELOOP, "this server listens there itself")

    async def _candidates(self) -> list[Candidate]:
        if self._address.path is not None:
            return [Candidate(socket.AF_UNIX, self._address.unix_name)]
        if self._address.host is not None and ip_of_host(self._address.host) is not None:
            return resolve(self._address, self._options)
        # One look-up at a time, however many clients wait for its result; it is not kept for the next client.
        if self._resolving is None:
            self._resolving = _in_thread(self._address, self._options)
            self._resolving.add_done_callback(self._resolved)
        return await asyncio.shield(self._resolving)

    def _resolved(self, answer: "asyncio.Future[list[Candidate]]") -> None:
        self._resolving = None
        if not answer.cancelled():
            answer.exception()  # marks it as retrieved: it does not matter if nothing awaits the answer any more

    async def _dial_one(self, candidate: Candidate, header: bytes) -> socket.socket:
        loop = asyncio.get_running_loop()
        sock = _open(candidate, self._options)
        try:
            sock.setblocking(False)
            async with asyncio.timeout(self._options.timeout):
                if candidate.family == socket.AF_UNIX:
                    await _connect_unix(sock, candidate)
                else:
                    await _connect(sock, candidate)
                refuse_self_connection(sock)
                if header:
                    await loop.sock_sendall(sock, header)
        except BaseException:
            sock.close()
            raise
        _log.debug("connected to %s", candidate.sockaddr)
        return sock


def _open(candidate: Candidate, options: ConnectOptions) -> socket.socket:
    if candidate.family == socket.AF_UNIX:
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    return open_socket(candidate, options)


async def _connect(sock: socket.socket, candidate: Candidate) -> None:
    """Connect to an address as it was resolved; the loop's own function may resolve it again, and drop its scope."""
    number = sock.connect_ex(candidate.sockaddr)
    if number == errno.EINPROGRESS:
        await _wait_writable(sock)
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))


async def _wait_writable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    writable: asyncio.Future[None] = loop.create_future()

    def ready() -> None:
        if not writable.done():
            writable.set_result(None)

    loop.add_writer(sock, ready)
    try:
        await writable
    finally:
        loop.remove_writer(sock)


async def _connect_unix(sock: socket.socket, candidate: Candidate) -> None:
    """Connect to a unix socket; the loop's own function takes a full backlog (EAGAIN) for a connection in progress."""
    while True:
        try:
            sock.connect(candidate.sockaddr)
        except BlockingIOError:
            await asyncio.sleep(_FULL_BACKLOG_S)
        else:
            return


def known_candidates(address: Address) -> list[Candidate]:
    """The candidates of an address that are known without asking a name server; none where that cannot be avoided."""
    if address.path is not None:
        return [Candidate(socket.AF_UNIX, address.unix_name)]
    if address.host not in (None, "localhost") and ip_of_host(address.host or "") is None:
        return []
    try:
        return resolve(address, ConnectOptions())
    except PortsideError:
        return []


def _in_thread(address: Address, options: ConnectOptions) -> "asyncio.Future[list[Candidate]]":
    """``resolve`` on a thread that the end of the run does not wait for: a name server may take long to time out."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Candidate]] = loop.create_future()

    def settle(found: list[Candidate] | None, error: PortsideError | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found or [])

    def look_up() -> None:
        try:
            found, failure = resolve(address, options), None
        except PortsideError as error:
            found, failure = [], error
        try:
            loop.call_soon_threadsafe(settle, found, failure)
        except RuntimeError:
            pass  # the loop has ended meanwhile

    threading.Thread(target=look_up, name=f"resolve {address}", daemon=True).start()
    return answer
