"""Writers: bytes to a file descriptor, in order, without loss, and without ever blocking the event loop.

A thread owns the descriptor. The loop hands over lists of buffers and reads ``pending``, the number of bytes that are
not written yet; while that is high, the server stops reading from clients, so memory stays bounded. A temporary error
(a full disk) is reported once, and the write is repeated until it succeeds. When the reader of a pipe goes away
(EPIPE), the writer is ``broken``: it discards what it is given.
"""

import errno
import logging
import os
import select
import stat
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol, TypedDict

from portside.descriptors import create_file
from portside.wire.buffers import MOST_BUFFERS, advance

_log = logging.getLogger("portside.feed.writer")

RETRY_S = 0.5
PIECE_BYTES = 16 * 1024  # of one write to a pipe or a terminal: small, so that a slow reader shows progress


class Reactions(TypedDict):
    """The callbacks of a Writer."""

    on_drained: Callable[[], None]
    on_broken: Callable[[], object]
    on_trouble: Callable[[str, OSError | None], None]
    on_stale: Callable[[str, OSError], None]


class Output(Protocol):
    """The interface of writers: a Writer or, for the null device, a NullWriter."""

    name: str
    broken: bool  # the reader has gone away: buffers are discarded

    @property
    def pending(self) -> int:
        """The number of bytes that are not written yet."""

    def put(self, buffers: list[bytes]) -> None:
        """Queue buffers behind all earlier ones."""

    def reopen(self) -> None:
        """Reopen the file by its name, between two calls of ``put``; if that fails, the old file stays in use."""

    def request_drain(self) -> None:
        """Have ``on_drained`` called once when ``pending`` is low."""

    def close(self, patience: float, hurry: threading.Event) -> int:
        """Write what is queued, and return the number of bytes that could not be written.

        Once ``hurry`` is set, gives up after ``patience`` seconds without progress.
        """


class Writer:
    """Writes to the descriptor ``fd``, which users know as ``name``.

    ``call_soon`` runs a function on the loop's thread. The callbacks, all on that thread: ``on_drained`` when
    ``pending`` has fallen to ``low`` after ``request_drain``; ``on_broken`` when the reader has gone away;
    ``on_trouble`` with an error whose write is being repeated, and with None once that has succeeded; ``on_stale`` when
    the file could not be reopened, so that the writer continues with the old file. The class has more than 12
    attributes because of these callbacks, and because each of the two threads has a counter of its own.
    """

    def __init__(
        self,
        fd: int,
        name: str,
        call_soon: Callable[..., object],
        *,
        on_drained: Callable[[], None],
        on_broken: Callable[[], object],
        on_trouble: Callable[[str, OSError | None], None],
        on_stale: Callable[[str, OSError], None],
        low: int = 256 * 1024,
    ) -> None:
        self.name = name
        self.broken = False
        self._fd = fd
        self._call_soon = call_soon
        self._on_drained, self._on_broken = on_drained, on_broken
        self._on_trouble, self._on_stale = on_trouble, on_stale
        self._is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        self._low = low
        self._taken = 0  # bytes; written by the loop's thread alone
        self._done = 0  # bytes; written by the writer's thread alone
        self._drain_requested = False
        self._queue: SimpleQueue[list[bytes] | str | None] = SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"writer of {name}", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """The number of bytes that are not written yet."""
        return self._taken - self._done

    def put(self, buffers: list[bytes]) -> None:
        """Queue buffers behind all earlier ones."""
        self._taken += sum(map(len, buffers))
        self._queue.put(buffers)

    def reopen(self) -> None:
        """Reopen the file by its name, between two calls of ``put``; if that fails, the old file stays in use."""
        self._queue.put(self.name)

    def request_drain(self) -> None:
        """Have ``on_drained`` called once when ``pending`` is low."""
        self._drain_requested = True
        if self.pending <= self._low:
            self._report_drained()

    def close(self, patience: float, hurry: threading.Event) -> int:
        """Write what is queued; the number of bytes not written.

        Once ``hurry`` is set, gives up after ``patience`` seconds without progress.
        """
        self._queue.put(None)
        done, since = self._done, time.monotonic()
        while self._thread.is_alive():
            self._thread.join(patience / 10)
            if done != self._done or not hurry.is_set():
                done, since = self._done, time.monotonic()
            elif time.monotonic() - since > patience:
                break
        self._stopping.set()
        return self.pending

    def _report_drained(self) -> None:
        if self._drain_requested:
            self._drain_requested = False
            self._call_soon(self._on_drained)

    # On the writer's own thread.

    def _run(self) -> None:
        get, get_nowait, empty = self._queue.get, self._queue.get_nowait, self._queue.empty
        while (order := get()) is not None:
            if isinstance(order, str):
                self._reopen(order)
                continue
            buffers = order
            following: list[bytes] | str | None = []
            while not empty() and len(buffers) < MOST_BUFFERS:
                following = get_nowait()
                if not isinstance(following, list):
                    break
                buffers = buffers + following
            self._write(buffers)
            if isinstance(following, str):
                self._reopen(following)
            elif following is None:
                return

    def _write(self, buffers: list[bytes]) -> None:
        for at in range(0, len(buffers), MOST_BUFFERS):
            part: list[bytes | memoryview] = list(buffers[at : at + MOST_BUFFERS])
            left = sum(map(len, part))
            while left:
                written = self._writev(part, left)
                left -= written
                self._done += written
                if left:
                    part = advance(part, written)
        self._check_drained()

    def _check_drained(self) -> None:
        if self._drain_requested and self.pending <= self._low:
            self._report_drained()

    def _writev(self, part: list[bytes | memoryview], size: int) -> int:
        """Write some of ``part``, or discard it all once the writer is broken; the number of bytes done with."""
        troubled = False
        while not self.broken:
            try:
                written = os.writev(self._fd, part if self._is_file else _piece(part))
            except BlockingIOError:
                # Standard output was inherited in non-blocking mode.
                select.select([], [self._fd], [])
            except OSError as error:
                if error.errno in (errno.EPIPE, errno.EIO, errno.EBADF) and not self._is_file:
                    self.broken = True
                    self._call_soon(self._on_broken)
                    break
                if not troubled:
                    troubled = True
                    _log.info("%s: %s; trying again every %g s", self.name, error, RETRY_S)
                    self._call_soon(self._on_trouble, self.name, error)
                if self._stopping.wait(RETRY_S):
                    raise SystemExit from error
            else:
                if troubled:
                    _log.info("%s takes data again", self.name)
                    self._call_soon(self._on_trouble, self.name, None)
                return written
        return size

    def _reopen(self, path: str) -> None:
        try:
            fd = open_output(path)
        except OSError as error:
            self._call_soon(self._on_stale, self.name, error)
            return
        os.dup2(fd, self._fd, inheritable=False)
        os.close(fd)


class NullWriter:
    """Writes to the null device, which takes everything at once: no thread, no queue."""

    def __init__(self, fd: int, name: str) -> None:
        self.name = name
        self.broken = False
        self._fd = fd

    @property
    def pending(self) -> int:
        return 0

    def put(self, buffers: list[bytes]) -> None:
        for buffer in buffers:
            os.write(self._fd, buffer)

    def reopen(self) -> None:
        return

    def request_drain(self) -> None:
        return

    def close(self, patience: float, hurry: threading.Event) -> int:
        return 0


def is_null_device(fd: int) -> bool:
    """Whether a descriptor is /dev/null."""
    status = os.fstat(fd)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3)


def open_output(path: str) -> int:
    """Open a file for appending; a new one is private. Raises OSError, also for a named pipe without a reader."""
    return create_file(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)


def _piece(part: list[bytes | memoryview]) -> list[bytes | memoryview]:
    """The first PIECE_BYTES of some buffers, for one write to a pipe or a terminal."""
    size = 0
    for index, buffer in enumerate(part):
        size += len(buffer)
        if size >= PIECE_BYTES:
            keep = len(buffer) - (size - PIECE_BYTES)
            return [*part[:index], memoryview(buffer)[:keep]]
    return part
