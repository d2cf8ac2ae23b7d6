"""Standard output of a command that tells something and ends."""

from collections.abc import Iterable

from portside.client.stdio import OutputClosed, Stdio


def write_stdout(pieces: Iterable[bytes]) -> bool:
    """Write all pieces to standard output; False where nobody reads it any more. Raises PortsideError."""
    output = Stdio(None, 1)
    try:
        for piece in pieces:
            output.write(memoryview(piece))
    except OutputClosed:
        return False
    return True
