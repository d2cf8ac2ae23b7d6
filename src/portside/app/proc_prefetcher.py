"""A process sent ahead to read who holds which socket, while this one loads numpy and reads the sockets.

Reading the descriptors of large programs is most of the time of one look, and it is the kernel's time: on a second
processor it costs nothing. What the scout missed because it came too early is read again (``kernel/owners``).
"""

import marshal
import os
from collections.abc import Iterator
from contextlib import suppress

from portside.procfs import ProcessSockets, iter_processes


class ProcPrefetcher:
    """One that is on its way. ``seen`` waits for what it has read; without it, ``close``."""

    def __init__(self) -> None:
        self._pid = 0
        read_end, write_end = os.pipe()
        try:
            self._pid = os.fork()
        except OSError:
            os.close(write_end)
            self._from = read_end
            return
        if not self._pid:
            _report(write_end)
        os.close(write_end)
        self._from = read_end

    def processes(self) -> Iterator[ProcessSockets]:
        """All processes it has read; nothing where it could not."""
        with open(self._from, "rb") as report:
            text = report.read()
        self._from = -1
        self.close()
        with suppress(ValueError, EOFError, TypeError):
            for each in marshal.loads(text):  # noqa: S302 - of our own child
                yield ProcessSockets(*each)

    def close(self) -> None:
        """Do without it."""
        if self._from >= 0:
            os.close(self._from)
            self._from = -1
        if self._pid:
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = 0


def _report(write_end: int) -> None:
    """The child's whole life. It shares everything with its parent, and so leaves without a word."""
    try:
        with open(write_end, "wb") as report:
            report.write(marshal.dumps([tuple(seen) for seen in iter_processes()]))
    except BaseException:  # noqa: BLE001 - its parent reads for itself
        os._exit(1)
    os._exit(0)
