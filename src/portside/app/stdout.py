"""Standard output of the commands that write a result and end."""

from collections.abc import Iterable

from portside.descriptors import write_all
from portside.errors import PortsideError


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
