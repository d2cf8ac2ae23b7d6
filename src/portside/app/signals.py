"""Signals that end a run which has something to let go of first."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STEP_S = 3.0  # that each thing may take that is done first


@contextmanager
def ending_signals(before: Callable[[], None]) -> Iterator[None]:
    """Let ``before`` be done first when a signal ends us.

    The handler does all of it: an exception that it raised could be lost in whatever it interrupted.
    """
    numbers = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]

    def end(number: int, _: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        before()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def closing_on_signals(steps: Sequence[Callable[[], None]]) -> Iterator[None]:
    """Let ``steps`` be done first when a signal ends us: on threads of their own, while what was interrupted goes on.

    So a step may wait for locks that the interrupted thread holds. One that is stuck does not keep us for long, and a
    second signal ends us at once.
    """
    numbers = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    ending: list[threading.Thread] = []

    def end(number: int, _: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_DFL)
        ending.append(threading.Thread(target=close_and_end, args=(number,), daemon=True))
        ending[0].start()

    def close_and_end(number: int) -> None:
        for step in steps:
            doing = threading.Thread(target=step, daemon=True)
            doing.start()
            doing.join(_STEP_S)
        os.kill(os.getpid(), number)

    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for thread in ending:  # the signal is how this run ends, whatever has ended meanwhile
            thread.join()
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
