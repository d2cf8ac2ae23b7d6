"""The broker's clock: the one by which messages are stored, and so the one by which they have an age."""

import time
from collections.abc import Callable
from typing import Final

from portside.events import parse_utc

_DIFFERENT_S: Final = 1.0


class BrokerClock:
    """The broker's clock as its newest answer told it; this machine's until there is one.

    ``wall`` is this machine's clock in seconds since 1970, and ``steady`` one that nobody sets: after an answer, steps
    of ``wall`` change nothing.
    """

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall, self.steady = wall, steady
        self._base: float | None = None  # what the broker's clock showed when the steady one was 0

    @property
    def is_known(self) -> bool:
        """Whether an answer has told it."""
        return self._base is not None

    @property
    def is_different(self) -> bool:
        """Whether it is known to be more than a second away from this machine's."""
        return self.is_known and abs(self.now() - self._wall()) > _DIFFERENT_S

    def now(self) -> float:
        """Seconds since 1970."""
        return self._wall() if self._base is None else self._base + self.steady()

    def learn(self, told: object, asked_at: float) -> None:
        """Take the time of an answer that came now to what was asked at ``asked_at`` of the steady clock.

        It was made at some time in between: where this machine's clock fits that, it is right, however long it took.
        """
        try:
            told_s = parse_utc(str(told)) / 1e9
        except (ValueError, OverflowError):
            return
        answered_at = self.steady()
        latest_s = told_s + answered_at - asked_at
        self._base = min(max(told_s, self._wall()), latest_s) - answered_at
