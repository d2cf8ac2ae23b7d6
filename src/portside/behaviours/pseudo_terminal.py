"""``--pty``: the pseudo-terminal of a program, pty(7), and the bytes that pass through it in both directions.

The program has the terminal as its standard input, output and error, and as its controlling terminal. The server holds
the other side, the master: what is written there has been typed, and what is read there was printed. So line editing,
the echo and the signals of Ctrl-C, Ctrl-Z and Ctrl-\\ are the kernel's.

What differs from a pipe:

1. There is no end of input. It is typed instead, as the VEOF character (Ctrl-D), again and again, because a program
   finds the end of a pipe each time it reads: one VEOF ends ``cat``, and the next one the shell around it. A VEOF also
   is lost where it was typed in line mode and is read in raw mode.
2. A program that takes no notice of VEOF, and is silent, gets the hang-up (SIGHUP) of a terminal that was closed.
3. The end of output is EIO: no process has the terminal open any more.
4. A line is at most 4095 bytes long while the terminal edits lines (``MAX_CANON``): the kernel drops what is longer.
"""

import asyncio
import os
import select
import termios
from collections.abc import Callable
from typing import Final

from portside.errors import reason_of

ROWS, COLUMNS = 24, 80
TERM: Final = "xterm-256color"
_IUTF8: Final = 0o40000  # erase takes a whole character (termbits.h); Python's termios lacks it before 3.15
_READ_BYTES: Final = 64 * 1024  # at once; the kernel hands out 4 KiB at most
_HIGH_WATER_BYTES: Final = 64 * 1024  # of input that the terminal does not take: the client is not read any more
_LOW_WATER_BYTES: Final = 16 * 1024
_EOF_S: Final = 0.5  # from one VEOF to the next


class PseudoTerminal:
    """Both sides of a new terminal of 80x24 characters, until a program is started on it.

    Raises OSError where there is no descriptor, or no terminal, left.
    """

    def __init__(self) -> None:
        self._fds: list[int] = []
        try:
            self._open()
        except OSError as error:
            self.close()
            raise OSError(error.errno, f"no terminal: {reason_of(error)}") from None

    def _open(self) -> None:
        self._fds += os.openpty()
        self.input_fd, slave = self._fds
        os.set_blocking(self.input_fd, False)
        self.path = os.ttyname(slave)
        attributes = termios.tcgetattr(slave)
        attributes[0] |= _IUTF8
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        termios.tcsetwinsize(slave, (ROWS, COLUMNS))
        self.output_fd = os.dup(self.input_fd)  # so that each direction can be watched, and closed, for itself
        self._fds.append(self.output_fd)

    def release(self) -> None:
        """Leave the terminal to the program, and its master to ``TerminalInput`` and ``TerminalOutput``."""
        os.close(self._fds[1])  # open here, the program's side would never end
        self._fds.clear()

    def close(self) -> None:
        """Close what ``release`` has not left to others."""
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()


class TerminalOutput:
    """The output of a terminal: as much of an asyncio.ReadTransport as ``ProgramRelay`` wants."""

    def __init__(self, fd: int, protocol: asyncio.Protocol) -> None:
        self._fd = fd
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(fd, self._read)
        self._is_paused = False
        self._active_at = self._loop.time()

    def quiet_s(self) -> float:
        """For how many seconds nothing has been printed; 0 while it is not read."""
        return 0.0 if self._is_paused else self._loop.time() - self._active_at

    def pause_reading(self) -> None:
        if not self._is_paused and self._fd >= 0:
            self._is_paused = True
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        if self._is_paused and self._fd >= 0:
            self._is_paused = False
            self._active_at = self._loop.time()
            self._loop.add_reader(self._fd, self._read)

    def is_closing(self) -> bool:
        return self._fd < 0

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> None:
        pieces: list[bytes] = []
        size, is_over = 0, False
        while size < _READ_BYTES and not is_over:
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                break
            except OSError:  # EIO: no process has the terminal open
                data = b""
            is_over = not data
            pieces.append(data)
            size += len(data)
        self._active_at = self._loop.time()
        if size:
            self._protocol.data_received(b"".join(pieces))
        if is_over and self._fd >= 0:
            self.close()
            self._protocol.connection_lost(None)


class TerminalInput:
    """The input of a terminal: as much of an asyncio.WriteTransport as ``ProgramRelay`` wants.

    ``close`` types the end of input, until ``abort``. ``on_ignored`` is called once when the program has neither ended
    nor printed anything for ``patience_s`` after that.
    """

    def __init__(
        self,
        fd: int,
        protocol: asyncio.BaseProtocol,
        output: TerminalOutput,
        patience_s: float,
        on_ignored: Callable[[], None],
    ) -> None:
        self._fd = fd
        self._protocol = protocol
        self._output = output
        self._patience_s = patience_s
        self._on_ignored = on_ignored
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()  # bounded by the high-water mark and one read of the client
        self._is_paused = False
        self._ended_at: float | None = None  # when the first VEOF was due
        self._timer: asyncio.TimerHandle | None = None

    def write(self, data: bytes) -> None:
        """Type some bytes: those that the terminal does not take yet are buffered."""
        if self.is_closing():
            return
        if not self._buffer:
            data = data[self._type(data) :]
        if data and self._fd >= 0:
            if not self._buffer:
                self._loop.add_writer(self._fd, self._flush)
            self._buffer += data
            if len(self._buffer) > _HIGH_WATER_BYTES and not self._is_paused:
                self._is_paused = True
                self._protocol.pause_writing()

    def is_closing(self) -> bool:
        return self._fd < 0 or self._ended_at is not None

    def close(self) -> None:
        """End the input, after what is buffered."""
        if not self.is_closing():
            self._ended_at = self._loop.time()
            self._end_input()

    def abort(self) -> None:
        """Drop what is buffered; the terminal hangs up when its output is closed too."""
        if self._fd < 0:
            return
        if self._buffer:
            self._loop.remove_writer(self._fd)
            self._buffer.clear()
        if self._timer is not None:
            self._timer.cancel()
        os.close(self._fd)
        self._fd = -1
        self._protocol.connection_lost(None)

    def _type(self, data: bytes | bytearray) -> int:
        """Write to the terminal; the number of bytes that it took."""
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError:
            self.abort()
            return 0

    def _flush(self) -> None:
        taken = self._type(self._buffer)
        if not taken and self._fd >= 0 and _is_deserted(self._fd):
            self.abort()
        del self._buffer[:taken]
        if self._fd >= 0 and not self._buffer:
            self._loop.remove_writer(self._fd)
        if self._is_paused and len(self._buffer) <= _LOW_WATER_BYTES:
            self._is_paused = False
            self._protocol.resume_writing()

    def _end_input(self) -> None:
        """Type VEOF, unless something still waits to be typed, and look again later."""
        if not self._buffer:
            end = termios.tcgetattr(self._fd)[6][termios.VEOF]
            self._type(end if end != b"\0" else b"\x04")  # NUL: the program has turned VEOF off
        if self._fd < 0 or self._ended_at is None:
            return
        self._timer = self._loop.call_later(_EOF_S, self._end_input)
        if min(self._output.quiet_s(), self._loop.time() - self._ended_at) >= self._patience_s:
            self._patience_s = float("inf")
            self._on_ignored()


def _is_deserted(fd: int) -> bool:
    """Whether no process has the terminal open: then its master seems writable for ever, and takes nothing."""
    poll = select.poll()
    poll.register(fd, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))
