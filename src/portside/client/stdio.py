"""Standard input and output: the source of the bytes to the peer, and the sink of the bytes from the peer."""

import errno
import os
import select

from portside.descriptors import wait_for, write_all
from portside.errors import PortsideError


class OutputClosed(Exception):
    """The reader of our output has gone; this ends a run, but is not a failure."""


class Stdio:
    """A source and a sink as descriptors, such as standard input and output; None for a direction that is not used.

    The descriptors may be terminals, pipes, files or sockets, in blocking or non-blocking mode.
    """

    def __init__(self, source: int | None, sink: int | None) -> None:
        self.source = source
        self.sink = sink
        self.interactive = source is not None and os.isatty(source)

    def read_into(self, buffer: memoryview) -> int:
        """Wait for bytes from the source and read them into ``buffer``: how many, 0 at the end of the source.

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
        """Write all of ``data`` to the sink. Raises OutputClosed and PortsideError."""
        if self.sink is None:
            return
        try:
            write_all(self.sink, data)
        except BrokenPipeError:
            self.sink_broken()
        except OSError as error:
            raise PortsideError("cannot write standard output", error) from None

    def sink_broken(self) -> None:
        """React to a sink whose reader is gone. Raises OutputClosed where that ends the run."""
        raise OutputClosed

    def peer_closed(self) -> None:
        """React to the peer's FIN."""

    def finish(self) -> None:
        """Write what is held back, at the end of the connection. Raises OutputClosed and PortsideError."""

    def is_over(self) -> bool:
        """Whether, after the end of the source, the sink has no reader left."""
        return False

    def peer_gone(self) -> None:
        """React to a peer that takes nothing more from the source."""
