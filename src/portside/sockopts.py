"""Socket options and queries that several packages use."""

import fcntl
import socket
import struct
import sys
import termios

_LINGER_0_S = struct.pack("ii", 1, 0)  # struct linger: on, 0 s


def set_abortive_close(sock: socket.socket) -> None:
    """Have the close of a socket send RST in place of FIN and drop what is not sent yet (SO_LINGER, socket(7)).

    Raises OSError where the socket is closed.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0_S)


def unacknowledged(fd: int) -> int:
    """Bytes that were sent and are not acknowledged, our FIN counted as one (SIOCOUTQ, tcp(7)); raises OSError.

    Of a unix socket: bytes that the peer has not read.
    """
    return int.from_bytes(fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
