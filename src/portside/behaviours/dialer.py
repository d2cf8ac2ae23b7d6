"""Connecting on the loop: the addresses of a name in order, as ``client.dial`` does it in blocking calls."""

import asyncio
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

_FULL_QUEUE_S = 0.02  # between two tries where a unix socket's server has no place in its queue


class Dialer:
    """Connects to one address, again and again; ``header`` says what a new connection begins with."""

    def __init__(self, address: Address, route: ConnectOptions) -> None:
        self._address = address
        self._route = route
        self._resolving: asyncio.Future[list[Candidate]] | None = None

    async def dial(self, header: bytes = b"") -> socket.socket:
        """A connected socket on which ``header`` was sent: the first of the candidates that takes it.

        Raises PortsideError where none does; it says of each why.
        """
        candidates = await self._candidates()
        failures: list[tuple[Candidate, OSError]] = []
        for candidate in candidates:
            try:
                return await self._dial_one(candidate, header)
            except OSError as error:
                failures.append((candidate, error))
        why, _hint = describe_failures(failures, self._route)  # the hint is for people at a terminal, not for clients
        raise PortsideError(f"cannot connect to {display_name(self._address)}", why)

    async def _candidates(self) -> list[Candidate]:
        if self._address.path is not None:
            return [Candidate(socket.AF_UNIX, self._address.unix_name)]
        if _is_number(self._address.host):
            return resolve(self._address, self._route)
        # One question at a time, however many clients wait for its answer; the next client asks anew.
        if self._resolving is None:
            self._resolving = _in_thread(self._address, self._route)
            self._resolving.add_done_callback(self._resolved)
        return await asyncio.shield(self._resolving)

    def _resolved(self, answer: "asyncio.Future[list[Candidate]]") -> None:
        self._resolving = None
        if not answer.cancelled():
            answer.exception()  # those who wait for it are told; where nobody does any more, it is no news

    async def _dial_one(self, candidate: Candidate, header: bytes) -> socket.socket:
        loop = asyncio.get_running_loop()
        sock = _open(candidate, self._route)
        try:
            sock.setblocking(False)
            async with asyncio.timeout(self._route.timeout):
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
        return sock


def _open(candidate: Candidate, route: ConnectOptions) -> socket.socket:
    if candidate.family == socket.AF_UNIX:
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    return open_socket(candidate, route)


async def _connect(sock: socket.socket, candidate: Candidate) -> None:
    try:
        await asyncio.get_running_loop().sock_connect(sock, candidate.sockaddr)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno)) from None  # the loop has words of its own


async def _connect_unix(sock: socket.socket, candidate: Candidate) -> None:
    """The loop's own would take a full queue (EAGAIN) for a connection on its way, and then for one that is there."""
    while True:
        try:
            sock.connect(candidate.sockaddr)
        except BlockingIOError:
            await asyncio.sleep(_FULL_QUEUE_S)
        else:
            return


def _is_number(host: str | None) -> bool:
    """Whether a host is an address already, so that nobody has to be asked for it."""
    if host is None:
        return False
    try:
        socket.getaddrinfo(host.partition("%")[0], None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return False
    return True


def _in_thread(address: Address, route: ConnectOptions) -> "asyncio.Future[list[Candidate]]":
    """``resolve`` on a thread that nobody waits for when the run ends: a name server may take long to be silent."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Candidate]] = loop.create_future()

    def settle(found: list[Candidate] | None, error: PortsideError | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found or [])

    def ask() -> None:
        try:
            found, failure = resolve(address, route), None
        except PortsideError as error:
            found, failure = [], error
        try:
            loop.call_soon_threadsafe(settle, found, failure)
        except RuntimeError:
            pass  # the loop has ended meanwhile

    threading.Thread(target=ask, name=f"resolve {address}", daemon=True).start()
    return answer
