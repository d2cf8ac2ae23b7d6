"""Our end of a connection: where the bytes come from that go to the peer, and where the peer's bytes go."""

import errno
import os
import select

from portside.errors import PortsideError


class OutputClosed(Exception):
    """Nobody reads our output any more: the end of the run, and no failure of it."""


class Stdio:
    """Standard input and output, or some other pair of descriptors; None where that direction is not used.

    They may be terminals, pipes, files or sockets, in blocking or non-blocking mode.
    """

    patient = False  # whether the source is waited for after the peer's FIN, however long it says nothing

    def __init__(self, source: int | None, sink: int | None) -> None:
        self.source = source
        self.sink = sink
        self.interactive = source is not None and os.isatty(source)

    def read_into(self, buffer: memoryview) -> int:
        """Read from the source what there is, once there is something: the number of bytes, 0 at its end.

        Raises PortsideError.
        """
        if self.source is None:
            return 0
        while True:
            try:
                return os.readv(self.source, [buffer])
            except BlockingIOError:
                wait_for(self.source, select.POLLIN)
            except OSError as error:
                if error.errno == errno.EBADF:
                    return 0  # closed, or open for writing only, as nohup leaves it
                raise PortsideError("cannot read standard input", error) from None

    def write(self, data: memoryview) -> None:
        """Write all of some bytes to the sink. Raises OutputClosed and PortsideError."""
        if self.sink is None:
            return
        try:
            write_all(self.sink, data)
        except BrokenPipeError:
            self.sink_broken()
        except OSError as error:
            raise PortsideError("cannot write standard output", error) from None

    def sink_broken(self) -> None:
        """The sink's reader is gone."""
        raise OutputClosed

    def peer_closed(self) -> None:
        """The peer has sent its last."""

    def is_over(self) -> bool:
        """Whether, after the end of the source, nobody is left to take what the peer sends."""
        return False

    def peer_gone(self) -> None:
        """The peer takes nothing more from the source."""


def write_all(fd: int, data: memoryview) -> None:
    """Write all bytes; where the descriptor is in non-blocking mode, wait for room. Raises OSError."""
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
