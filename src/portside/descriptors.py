"""Reading and writing descriptors that may be in blocking or non-blocking mode."""

import os
import select


def write_all(fd: int, data: memoryview) -> None:
    """Write all of ``data``; waits until it is written even if the descriptor is non-blocking. Raises OSError."""
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
