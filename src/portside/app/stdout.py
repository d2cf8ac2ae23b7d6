"""Standard output of a command that writes what it found and ends."""

from collections.abc import Iterable

from portside.descriptors import write_all
from portside.errors import PortsideError


def write_stdout(pieces: Iterable[bytes]) -> bool:
    """Write all pieces to standard output; False where its reader is gone. Raises PortsideError."""
    try:
        for piece in pieces:
            write_all(1, memoryview(piece))
    except BrokenPipeError:
        return False
    except OSError as error:
        raise PortsideError("cannot write standard output", error) from None
    return True
