"""Reading and writing descriptors that may be in blocking or non-blocking mode."""

import os
import select


def write_all(fd: int, data: memoryview) -> None:
    """Write all of ``data``; wait for room where the descriptor is in non-blocking mode. Raises OSError."""
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            wait_for(fd, select.POLLOUT)


def wait_for(fd: int, event: int) -> None:
    """Wait until a descriptor can be read (POLLIN) or written (POLLOUT), or has failed."""
    poll = select.poll()
    poll.register(fd, event)
    poll.poll()
