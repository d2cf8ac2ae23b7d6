"""The attempts of one harness, made in a process of its own: python -m fuzz._attempts HARNESS SECONDS SEED

The last line of standard output is ``ATTEMPTS ACCEPTED UNEXPECTED``. What was unexpected goes to standard error.
"""

import importlib
import random
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, cast

DEFAULT_LIMIT_S = 5.0
_MOST_SHOWN = 5  # errors of one place in the code, and places
_MOST_SHOWN_CHARACTERS = 2000  # of an input
_SEEDS = 1 << 48


class Harness(Protocol):
    """The functions of a harness; see the package."""

    def make_input(self, chance: random.Random) -> Any: ...
    def accepts(self, value: Any) -> bool: ...


class Counts(NamedTuple):
    """How many attempts were made, how many inputs were accepted, and how many met something unexpected."""

    attempts: int
    accepted: int
    unexpected: int


class TooLongError(Exception):
    """An attempt took longer than its harness allows."""


def load(name: str) -> Harness:
    """The harness of this name."""
    return cast("Harness", importlib.import_module(f"fuzz.{name}"))


def attempt(harness: Harness, seed: int) -> bool:
    """Try the input of a seed: whether it was accepted. Raises what is unexpected, with the input as a note."""
    value = harness.make_input(random.Random(seed))
    try:
        with _time_limit(getattr(harness, "LIMIT_S", DEFAULT_LIMIT_S)):
            return harness.accepts(value)
    except BaseException as error:
        shown = repr(value)
        more = f" … ({len(shown)} characters)" if len(shown) > _MOST_SHOWN_CHARACTERS else ""
        error.add_note(f"the input of seed {seed}: {shown[:_MOST_SHOWN_CHARACTERS]}{more}")
        raise


def run(harness: Harness, seconds: float, first_seed: int) -> Counts:
    """Try inputs for a time; the first few errors of each place in the code are shown on standard error."""
    end = time.monotonic() + seconds
    attempts = accepted = unexpected = 0
    shown: dict[str, int] = {}
    while time.monotonic() < end or not attempts:
        try:
            accepted += attempt(harness, (first_seed + attempts) % _SEEDS)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is unexpected
            unexpected += 1
            _show(error, shown)
        attempts += 1
    return Counts(attempts, accepted, unexpected)


def _show(error: Exception, shown: dict[str, int]) -> None:
    place = f"{type(error).__name__} {traceback.extract_tb(error.__traceback__)[-1]}"
    if shown.setdefault(place, 0) == 0 and len(shown) <= _MOST_SHOWN:
        sys.stderr.write("".join(traceback.format_exception(error)))
    shown[place] += 1


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise TooLongError in the body after a time."""

    def interrupt(_number: int, _frame: object) -> None:
        raise TooLongError(f"took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def main() -> None:
    """Run as a program."""
    name, seconds, seed = sys.argv[1:]
    counts = run(load(name), float(seconds), int(seed))
    sys.stdout.write(" ".join(map(str, counts)) + "\n")


if __name__ == "__main__":
    main()
