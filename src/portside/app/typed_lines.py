"""Lines typed on the terminal that shows the output, edited here so that they stay whole below what arrives.

The kernel's own editing echoes each character where the cursor happens to be, between two lines of output. So the
terminal hands over every key (ICANON and ECHO are off, ISIG stays on), the line is edited in ``wire.typed_line``, and
the writer of standard output draws it below each piece of output. Standard error comes the same way where it is the
same terminal. The terminal is given back as it was at every end of the run, at Ctrl-Z, and in the background.
"""

import asyncio
import os
import signal
import termios
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from portside.app.stdin import is_in_background
from portside.feed.sinks import HIGH_BYTES
from portside.feed.terminal_writer import TerminalWriter
from portside.wire.typed_line import TypedLine

if TYPE_CHECKING:
    from types import FrameType

Divert = Callable[[Callable[[bytes], None] | None], None]  # of standard error, to a function; None: no longer

_PATIENCE_S: Final = 0.2  # for a terminal that takes nothing, before the process is suspended
_STDIN, _STDERR = 0, 2
_LOCAL_MODES, _CHARACTERS = 3, 6  # of what tcgetattr returns
_KEYS: Final = {
    termios.VEOF: "eof",
    termios.VERASE: "backspace",
    termios.VKILL: "ctrl+u",
    termios.VWERASE: "ctrl+w",
    termios.VLNEXT: "quote",
}
# Signals that end a process which does nothing about them, apart from those that the run handles.
_FATAL: Final = (
    signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGXCPU,
)  # fmt: skip
_DISABLED: Final = b"\0"  # a character that the terminal does not have


def is_one_terminal(*descriptors: int) -> bool:
    """Whether descriptors are all the same terminal, and one that can move its cursor."""
    if os.environ.get("TERM", "dumb") in ("", "dumb") or not all(map(os.isatty, descriptors)):
        return False
    return len({os.fstat(fd).st_rdev for fd in descriptors}) == 1


class TypedLines:
    """The terminal of standard input, and the line that is being typed on it.

    ``writer`` writes on the same terminal, and ``show`` shows a line that is complete. All methods are called on the
    loop's thread.
    """

    def __init__(self, writer: TerminalWriter, show: Callable[[bytes], None], divert_stderr: Divert | None) -> None:
        self._writer = writer
        self._show = show
        self._divert = divert_stderr if is_one_terminal(_STDIN, _STDERR) else None
        self._loop = asyncio.get_running_loop()
        self._given: list[Any] = termios.tcgetattr(_STDIN)  # the terminal as it was given to us
        self._has_terminal = False
        self._quotes = False  # characters that make signals are typed
        self._is_over = False
        given = self._given[_CHARACTERS]
        keys = {given[index].decode("latin-1"): key for index, key in _KEYS.items() if given[index] != _DISABLED}
        self._line = TypedLine(keys)

    def start(self, deliver: Callable[[bytes], Awaitable[None]]) -> Callable[[bytes], Awaitable[None]]:
        """Take the terminal; the function that takes what is read from it, and awaits ``deliver`` with what to send."""
        self._deliver = deliver
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # it would stop a server in the background that writes
        loop = self._loop
        if signal.getsignal(signal.SIGTSTP) != signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        loop.add_signal_handler(signal.SIGCONT, self.resume)
        loop.add_signal_handler(signal.SIGWINCH, self._writer.redraw)
        for number in _FATAL:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, self._end)
        if self._divert is not None:
            self._divert(self._take_notice)
        self.resume()
        return self._typed

    def finish(self) -> None:
        """Leave what has been typed on the screen, the line being complete or not; nothing is typed any more."""
        if self._divert is not None:
            self._divert(None)
        shown, _ = self._line.shown
        self._is_over = True
        if shown and not self._writer.line.hidden:
            self._show(shown.encode() + b"\n")
        self._writer.line.hidden = True
        self._writer.redraw()

    def give_back(self) -> None:
        """Give the terminal back as it was; may be called at any time, and again."""
        self._is_over = True
        if self._divert is not None:
            self._divert(None)
        self._release()

    def resume(self) -> None:
        """Take the terminal again, if the process is in the foreground: it was suspended, or in the background."""
        if self._is_over or is_in_background(_STDIN):
            return
        with suppress(termios.error):  # the terminal is gone
            if not self._has_terminal:
                self._given = termios.tcgetattr(_STDIN)
            self._has_terminal = True
            self._set_modes()
        self._writer.line.hidden = False
        self._writer.redraw()

    # Keys.

    async def _typed(self, data: bytes) -> None:
        if self._line.at_end or self._is_over:
            return  # it goes to nobody
        if not data:  # the terminal is gone
            await self._deliver(b"")
            return
        for typed in self._line.feed(data, self._loop.time()):
            self._writer.line.wanted = self._line.shown
            if typed.data:
                self._show(typed.shown.encode() + b"\n")
            await self._deliver(typed.data)
        self._writer.line.wanted = self._line.shown
        self._writer.redraw()
        if self._line.quotes_next != self._quotes:
            self._quotes = self._line.quotes_next
            with suppress(termios.error):
                self._set_modes()

    def _take_notice(self, data: bytes) -> None:
        """Write what goes to standard error above the line, unless the terminal is stuck."""
        if self._writer.pending <= HIGH_BYTES:
            self._writer.put([data])

    # The terminal.

    def _set_modes(self) -> None:
        modes = [*self._given]
        modes[_LOCAL_MODES] &= ~(termios.ICANON | termios.ECHO)
        modes[_CHARACTERS] = [*self._given[_CHARACTERS]]
        modes[_CHARACTERS][termios.VMIN], modes[_CHARACTERS][termios.VTIME] = 1, 0
        if self._quotes:
            modes[_LOCAL_MODES] &= ~termios.ISIG
            modes[0] &= ~termios.IXON
        termios.tcsetattr(_STDIN, termios.TCSANOW, modes)

    def _release(self) -> None:
        if self._has_terminal and not is_in_background(_STDIN):
            with suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(_STDIN, termios.TCSANOW, self._given)
        self._has_terminal = False

    def _suspend(self) -> None:
        """Stop the process, as SIGTSTP does by itself, with the terminal given back."""
        self._writer.hide_now(_PATIENCE_S)
        self._release()
        self._loop.remove_signal_handler(signal.SIGTSTP)
        signal.pthread_kill(threading.get_ident(), signal.SIGTSTP)  # this thread goes on when the process does
        self._loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        self.resume()

    def _end(self, number: int, _frame: "FrameType | None") -> None:
        """End the process, as the signal does by itself, with the terminal given back."""
        self._release()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
