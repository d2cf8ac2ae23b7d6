"""Notices of events that an output or a recording could not take, because of a defect: the others are there."""

import time

from portside.app.notices import Notify, write_notice
from portside.errors import reason_of

_NOTICE_S = 1.0  # between two notices: what one client causes with each of its lines would flood standard error


class EventErrors:
    """Writes a notice for the error of an event; called with each error. ``where`` is what lacks the event."""

    def __init__(self, where: str, notify: Notify = write_notice) -> None:
        self._notify = notify
        self._where = where
        self._events = 0  # since the last notice
        self._notice_at = 0.0

    def __call__(self, error: Exception) -> None:
        self._events += 1
        now = time.monotonic()
        if now < self._notice_at:
            return
        events = "an event is" if self._events == 1 else f"{self._events} events are"
        self._notify(
            f"internal error: {events} missing in {self._where}: {type(error).__name__}: {reason_of(error)}",
            "all others are there; please report it",
        )
        self._events, self._notice_at = 0, now + _NOTICE_S
