"""Standard input, read by a thread in blocks; the next block is read once ``deliver`` has returned for the last one.

So ``deliver`` sets the pace: ``app.stdin_delivery`` makes a pipe or a file wait until a client is connected.
"""

import asyncio
import errno
import os
import select
import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

BLOCK_BYTES = 64 * 1024
BACKGROUND_S = 0.5  # interval at which a background process tries again to read its terminal


class StandardInput:
    """Reads ``fd`` and awaits ``deliver`` on the loop with each block, and with ``b""`` at the end of the input.

    ``on_foreground`` is called on the loop when the process, so far in the background, may read its terminal.
    """

    def __init__(
        self,
        deliver: Callable[[bytes], Awaitable[None]],
        *,
        fd: int = 0,
        on_foreground: Callable[[], None] | None = None,
    ) -> None:
        self._fd = fd
        self._deliver = deliver
        self._on_foreground = on_foreground
        self._loop = asyncio.get_running_loop()
        self._next = threading.Event()
        self._task: asyncio.Task[None] | None = None
        if os.isatty(fd):
            # SIGTTIN would stop a background server that reads its terminal; ignored, the read fails with EIO instead.
            signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        self._thread = threading.Thread(target=self._run, name="standard input", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()
        self._next.set()

    def _run(self) -> None:
        data = b"-"
        while data:
            self._next.wait()
            self._next.clear()
            data = self._read()
            with suppress(RuntimeError):  # the loop is closed: the run is over
                self._loop.call_soon_threadsafe(self._start_delivery, data)

    def _read(self) -> bytes:
        while True:
            try:
                return os.read(self._fd, BLOCK_BYTES)
            except BlockingIOError:
                select.select([self._fd], [], [])  # standard input was inherited in non-blocking mode
            except OSError as error:
                if error.errno != errno.EIO or not os.isatty(self._fd):
                    return b""
                if not is_in_background(self._fd):
                    return b""  # the terminal is gone
                self._wait_for_foreground()

    def _wait_for_foreground(self) -> None:
        while is_in_background(self._fd):
            threading.Event().wait(BACKGROUND_S)
        if self._on_foreground is not None:
            with suppress(RuntimeError):  # the loop is closed: the run is over
                self._loop.call_soon_threadsafe(self._on_foreground)

    def _start_delivery(self, data: bytes) -> None:
        self._task = self._loop.create_task(self._deliver_then_continue(data))

    async def _deliver_then_continue(self, data: bytes) -> None:
        try:
            await self._deliver(data)
        finally:
            self._next.set()


def is_in_background(fd: int) -> bool:
    """Whether another process group than this process's is in the foreground of the terminal."""
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:
        return False
