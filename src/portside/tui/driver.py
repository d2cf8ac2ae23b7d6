"""Textual's terminal driver, adapted to Portside."""

import os
import signal
import sys
from types import FrameType
from typing import Any

from textual.drivers.linux_driver import LinuxDriver


class StandardOutput(LinuxDriver):
    """Textual on standard output: its own driver writes to standard error."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._file = sys.__stdout__ or self._file


def end_if_hung_up() -> None:
    """End at once where the terminal is gone: there is nothing to restore, and Textual would wait for it for ever."""
    if not os.isatty(1):
        os._exit(0)


def resume_only_what_was_stopped() -> None:
    """Let Textual answer SIGCONT only after SIGTSTP.

    A terminal that closes sends SIGHUP and SIGCONT. Textual would restart while it ends, and read forever.
    """
    stop, resume = signal.getsignal(signal.SIGTSTP), signal.getsignal(signal.SIGCONT)
    if not callable(stop) or not callable(resume):
        return
    signal.signal(signal.SIGCONT, signal.SIG_DFL)

    def stopping(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGCONT, resuming)
        stop(number, frame)

    def resuming(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGCONT, signal.SIG_DFL)
        resume(number, frame)

    signal.signal(signal.SIGTSTP, stopping)
