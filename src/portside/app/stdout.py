"""Standard output of the commands that write a result and end."""

import os
import select
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from portside.descriptors import may_lose_reader, write_all
from portside.errors import PortsideError

_BATCH = 4096  # lines


def terminal_width() -> int | None:
    """The columns of the terminal that standard output is; None where it is none, or does not say."""
    try:
        return os.get_terminal_size(1).columns or None
    except OSError:
        return None


def write_lines(lines: Iterable[str]) -> bool:
    """Write lines of text to standard output; False if its reader has gone. Raises PortsideError.

    Each line is escaped: names, reasons and errors in it may come from a peer, a file or a recording of others.
    """
    return write_stdout(_encoded(iter(lines)))


def _encoded(lines: Iterator[str]) -> Iterator[bytes]:
    while batch := list(islice(lines, _BATCH)):
        if not "".join(batch).isprintable():
            from portside.wire.escaping import escape_text

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


@contextmanager
def ends_with_reader(*steps: Callable[[], None]) -> Iterator[None]:
    """Run ``steps`` and end the process, with 0, as soon as the reader of standard output goes away.

    For commands that may wait for long between two outputs: without this they would end at the next one. The process
    ends from a thread, so the body must have nothing else to finish.
    """
    if not may_lose_reader(1):
        yield
        return
    import threading

    woken, wake = os.pipe()

    def watch() -> None:
        poll = select.poll()
        poll.register(1, 0)  # errors alone
        poll.register(woken, select.POLLIN)
        if any(fd == 1 for fd, _ in poll.poll()):
            for step in steps:
                step()
            os._exit(0)

    thread = threading.Thread(target=watch, name="reader of standard output", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.close(wake)
        thread.join()
        os.close(woken)
