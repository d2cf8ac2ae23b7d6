"""Standard output of the commands that write a result and end."""

from collections.abc import Iterable, Iterator
from itertools import islice

from portside.descriptors import write_all
from portside.errors import PortsideError
from portside.wire.escaping import escape_text

_BATCH = 4096  # lines


def write_lines(lines: Iterable[str]) -> bool:
    """Write lines of text to standard output; False if its reader has gone. Raises PortsideError.

    Each line is escaped: names, reasons and errors in it may come from a peer, a file or a recording of others.
    """
    return write_stdout(_encoded(iter(lines)))


def _encoded(lines: Iterator[str]) -> Iterator[bytes]:
    while batch := list(islice(lines, _BATCH)):
        if not "".join(batch).isprintable():
            batch = [escape_text(line) for line in batch]
        yield "\n".join((*batch, "")).encode()


def write_stdout(pieces: Iterable[bytes]) -> bool:
    """Write all pieces to standard output; False if its reader has gone. Raises PortsideError."""
    try:
        for piece in pieces:
            write_all(1, memoryview(piece))
    except BrokenPipeError:
        return False
    except OSError as error:
        raise PortsideError("cannot write standard output", error) from None
    return True
