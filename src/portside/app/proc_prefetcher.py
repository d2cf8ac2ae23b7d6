"""A forked process that reads the owners of sockets while this process loads numpy and reads the sockets.

``watch --once`` spends most of its time reading the descriptors of large programs, inside the kernel: on a second
processor that costs nothing. Owners that were read too early are read again (``kernel/owners``).
"""

import marshal
import os
from collections.abc import Iterator
from contextlib import suppress

from portside.procfs import ProcessSockets, iter_processes


class ProcPrefetcher:
    """A forked process that reads /proc. The caller calls ``processes`` for the result, or ``close`` to discard it."""

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
            os.close(read_end)  # or the pipe would never lose its last reader, and a write for nobody never fail
            _report(write_end)
        os.close(write_end)
        self._from = read_end

    def processes(self) -> Iterator[ProcessSockets]:
        """Wait for the processes that were read; there are none where reading failed."""
        with open(self._from, "rb") as report:
            text = report.read()
        self._from = -1
        self.close()
        with suppress(ValueError, EOFError, TypeError):
            for each in marshal.loads(text):  # noqa: S302 - from our own child
                yield ProcessSockets(*each)

    def close(self) -> None:
        """Give the pipe back and wait for the process to end; may be called again."""
        if self._from >= 0:
            os.close(self._from)
            self._from = -1
        if self._pid:
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = 0


def _report(write_end: int) -> None:
    """Run the child: read, write to the pipe and exit, without the parent's exit handlers and buffers."""
    try:
        with open(write_end, "wb") as report:
            report.write(marshal.dumps([tuple(seen) for seen in iter_processes()]))
    except BaseException:  # noqa: BLE001 - the parent then reads /proc itself
        os._exit(1)
    os._exit(0)
