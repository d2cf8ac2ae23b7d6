"""Signals that end a command: a descriptor that says so, and cleanup before the process ends."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STEP_S = 3.0  # limit for each cleanup step
_SAME_SIGNAL_S: Final = 0.1


class EndSignals:
    """The signals that ask a command to end. One that arrives twice is not two.

    GNU timeout, for one, sends a signal to its child and to the whole process group, in which the child is too.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at: float | None = None

    @property
    def have_come(self) -> bool:
        """Whether there was one."""
        return self._at is not None

    def take(self) -> Literal["first", "same", "again"]:
        """Which a signal is that has come now: the first, the same a second time, or another one after that."""
        now, before = self._clock(), self._at
        if before is None:
            self._at = now
            return "first"
        return "same" if now - before < _SAME_SIGNAL_S else "again"


def end_by(number: int) -> None:
    """End this process at once, by a signal that nothing handles any more."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


@contextmanager
def ending_signals(*steps: Callable[[], None]) -> Iterator[None]:
    """Run ``steps`` before SIGINT, SIGTERM or SIGHUP ends the process, one after the other, each on its own thread.

    The interrupted thread continues meanwhile, so a step may wait for a lock that this thread holds. A step gets 3
    seconds, and further signals are ignored. (The handler does not raise an exception instead: the code that the signal
    interrupts might swallow that.)
    """
    numbers = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    ending: list[tuple[int, threading.Thread]] = []  # the signal, and the thread that runs the steps
    done = threading.Event()

    def end(number: int, _: object) -> None:
        if not ending:
            ending.append((number, threading.Thread(target=run_steps, args=(number,), daemon=True)))
            ending[0][1].start()
        elif done.is_set():
            end_by(ending[0][0])

    def run_steps(number: int) -> None:
        for step in steps:
            running = threading.Thread(target=step, daemon=True)
            running.start()
            running.join(_STEP_S)
        done.set()
        os.kill(os.getpid(), number)  # makes the main thread run the handler, even while it is blocked in a call

    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for signal_number, thread in ending:  # the signal came, and the body has finished meanwhile
            thread.join()
            end_by(signal_number)
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def readable_at_signal(*numbers: signal.Signals) -> Iterator[int]:
    """A descriptor that is readable from the first of these signals on; the second ends the process.

    Signals that are ignored stay ignored.
    """
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    handled = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]

    asked = EndSignals()

    def stop(number: int, _frame: object) -> None:
        match asked.take():
            case "first":
                os.write(wake, b"\0")
            case "again":
                end_by(number)

    before = [(number, signal.signal(number, stop)) for number in handled]
    try:
        yield woken
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        os.close(woken)
        os.close(wake)
