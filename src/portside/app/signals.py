"""Signals that end a run which has something to let go of first."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STEP_S = 3.0  # that each thing may take that is done first


@contextmanager
def ending_signals(*steps: Callable[[], None]) -> Iterator[None]:
    """Let ``steps`` be done first when a signal ends us: on threads of their own, while what was interrupted goes on.

    So a step may wait for a lock that the interrupted thread holds. One that is stuck does not keep us for long, and
    more signals change nothing. An exception in the handler could be lost in whatever it interrupted.
    """
    numbers = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    ending: list[tuple[int, threading.Thread]] = []  # by which signal, and what is done first
    done = threading.Event()

    def end(number: int, _: object) -> None:
        if not ending:
            ending.append((number, threading.Thread(target=do_all, args=(number,), daemon=True)))
            ending[0][1].start()
        elif done.is_set():
            die(ending[0][0])

    def do_all(number: int) -> None:
        for step in steps:
            doing = threading.Thread(target=step, daemon=True)
            doing.start()
            doing.join(_STEP_S)
        done.set()
        os.kill(os.getpid(), number)  # whatever the main thread waits for, it runs the handler

    def die(number: int) -> None:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for ends_by, thread in ending:  # whatever has ended meanwhile
            thread.join()
            die(ends_by)
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
