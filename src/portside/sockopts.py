"""What the kernel tells of one socket, to the process that holds it."""

import fcntl
import sys
import termios


def unacknowledged(fd: int) -> int:
    """Bytes that were sent and are not acknowledged, our FIN counted as one (SIOCOUTQ, tcp(7)); raises OSError.

    Of a unix socket: bytes that the peer has not read.
    """
    return int.from_bytes(fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
