"""Signals that ask a command to end."""

import signal
import sys

from conftest import Start

from portside.app.signals import EndSignals

PROGRAM = """
import select, signal, sys
from portside.app.signals import readable_at_signal
with readable_at_signal(signal.SIGINT, signal.SIGTERM) as stop:
    print("ready", flush=True)
    select.select([stop], [], [])
    print("asked", flush=True)
    while sys.argv[1:]:
        signal.pause()
"""


def test_a_signal_that_arrives_twice_is_one_and_another_after_it_is_not() -> None:
    times = iter([5.0, 5.01, 5.09, 5.11, 6.0])
    asked = EndSignals(lambda: next(times))
    assert not asked.have_come
    assert [asked.take() for _ in range(5)] == ["first", "same", "same", "again", "again"]
    assert asked.have_come


def test_two_signals_at_once_end_in_order(start: Start) -> None:
    program = start(command=(sys.executable, "-c", PROGRAM))
    program.wait_for("ready")
    program.signals_at_once(signal.SIGTERM, signal.SIGINT)  # two numbers, since two of one may become one on their way
    program.wait_for("asked")
    assert program.wait() == 0


def test_a_later_signal_ends_at_once(start: Start) -> None:
    program = start(command=(sys.executable, "-c", PROGRAM, "stays"))
    program.wait_for("ready")
    program.signal(signal.SIGTERM)
    program.wait_for("asked")
    program.signal_until_end(signal.SIGINT)
    assert program.wait() == -signal.SIGINT
