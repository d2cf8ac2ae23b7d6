"""Sockets that leave nothing behind: closing them resets the connection, and so does the end of their process."""

import contextlib
import socket
import struct
from typing import NoReturn

from portside.lab.packet_filter import Instruction, drop

LOOPBACK = "127.0.0.1"
_ABORT = struct.pack("ii", 1, 0)
_IN_ORDER = struct.pack("ii", 0, 0)


def tcp_socket(family: int = socket.AF_INET) -> socket.socket:
    """A socket that resets its connection when it is closed, so that no TIME_WAIT stays behind.

    Those that it accepts as a listener are alike: Linux copies the options of the listener.
    """
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    return made


def close_in_order(connection: socket.socket) -> None:
    """Close with FIN, as a program does that has not asked for anything else."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _IN_ORDER)
    connection.close()


def listening_socket(
    backlog: int, *, address: str = LOOPBACK, port: int = 0, recv_buffer_bytes: int = 0, reuse_port: bool = False
) -> socket.socket:
    """A listener; a port of 0 is a free one. The receive buffer holds for the connections that it accepts."""
    listener = tcp_socket()
    if recv_buffer_bytes:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, recv_buffer_bytes)
    if reuse_port:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((address, port))
    listener.listen(backlog)
    return listener


def port_of(bound: socket.socket) -> int:
    """The local port of a socket."""
    port: int = bound.getsockname()[1]
    return port


def dial(
    port: int,
    *,
    address: str = LOOPBACK,
    recv_buffer_bytes: int = 0,
    send_buffer_bytes: int = 0,
    segment_bytes: int = 0,
) -> socket.socket:
    """A connection to a port, with buffers and a largest segment of its own where these are not 0."""
    connection = tcp_socket()
    for level, name, value in (
        (socket.SOL_SOCKET, socket.SO_RCVBUF, recv_buffer_bytes),
        (socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes),
        (socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment_bytes),
    ):
        if value:
            connection.setsockopt(level, name, value)
    connection.connect((address, port))
    return connection


def start_dialling(port: int, *, address: str = LOOPBACK, losing: tuple[Instruction, ...] = ()) -> socket.socket:
    """A socket that has sent its SYN, or has been accepted already; non-blocking. ``losing`` is what it never gets."""
    connection = tcp_socket()
    connection.setblocking(False)
    if losing:
        drop(connection, losing)
    with contextlib.suppress(BlockingIOError):
        connection.connect((address, port))
    return connection


def accept_and_keep(listener: socket.socket) -> NoReturn:
    """Accept all who come and keep them open, without reading, until the process ends."""
    kept: list[socket.socket] = []
    while True:
        kept.append(listener.accept()[0])


def set_congestion_control(connection: socket.socket, name: str) -> None:
    """Have a connection use another congestion control than the machine's default. Raises OSError."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())


def fill(connection: socket.socket, most_bytes: int, still_s: float = 0.2, piece: bytes = bytes(1 << 16)) -> int:
    """Send pieces until nothing has been taken for ``still_s``, at most ``most_bytes``; how much was taken."""
    connection.settimeout(still_s)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < most_bytes:
            sent += connection.send(piece)
    return sent
