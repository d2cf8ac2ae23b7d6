"""The broker's clock: the one by which messages are stored, and so the one by which they have an age."""

import time
from typing import Final

from portside.events import parse_utc

_DIFFERENT_S: Final = 1.0


class BrokerClock:
    """The broker's clock as its newest answer told it; this machine's until there is one.

    ``is_known`` says whether there is one. Steps of this machine's clock after an answer change nothing.
    """

    def __init__(self) -> None:
        self._base: float | None = None  # what the broker's clock showed when our monotonic one was 0

    @property
    def is_known(self) -> bool:
        """Whether an answer has told it."""
        return self._base is not None

    @property
    def is_different(self) -> bool:
        """Whether it is known to be more than a second away from this machine's."""
        return self.is_known and abs(self.now() - time.time()) > _DIFFERENT_S

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() if self._base is None else self._base + time.monotonic()

    def learn(self, told: object, asked_at: float) -> None:
        """Take the time of an answer that came now to what was asked at ``asked_at`` of the monotonic clock."""
        try:
            told_s = parse_utc(str(told)) / 1e9
        except (ValueError, OverflowError):
            return
        self._base = told_s - (asked_at + time.monotonic()) / 2
