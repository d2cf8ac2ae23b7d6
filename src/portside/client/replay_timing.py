"""The timing of a replay: its clock, and what the other side has to do before our next step.

Recorded times are in ns since 1970; times of the run are those of ``time.monotonic()``, in seconds.
"""

import time

MOST_WAIT_S = 86400.0  # at once: poll(2) and sleep take no more than some weeks, and a recording may ask for years


class ReplayClock:
    """Converts recorded times to times of this run, ``speed`` times as fast; None means without pauses (rule 3)."""

    def __init__(self, speed: float | None, began_at: int | None) -> None:
        self.has_pauses = speed is not None
        self._speed = speed
        self._began_at = began_at  # recorded; None until the first step says it
        self._began = 0.0

    def start(self) -> None:
        """Begin now."""
        self._began = time.monotonic()

    def begin_at(self, at: int) -> bool:
        """Take the recorded time of the first step for the beginning, where that is not known: whether it was."""
        if self._began_at is not None:
            return False
        self._began_at = at
        return True

    def time_of(self, at: int) -> float:
        """When a step is due that was recorded at ``at``; without pauses, now."""
        if self._speed is None or self._began_at is None:
            return time.monotonic()
        return self._began + (at - self._began_at) / 1e9 / self._speed

    def seconds_until(self, at: int) -> float:
        """Seconds until a step is due."""
        return self.time_of(at) - time.monotonic()

    def delay(self, at: int) -> None:
        """Shift all later times by the delay of the step that was recorded at ``at``."""
        self._began += max(0.0, time.monotonic() - self.time_of(at))

    def duration(self, since: int, until: int) -> float:
        """The recorded time between two steps at our speed, in seconds; 0 without pauses."""
        return max(0, until - since) / 1e9 / self._speed if self._speed is not None else 0.0


class Expectation:
    """The bytes and the FIN that must have arrived from the other side before our next step (rule 1).

    ``size`` counts bytes from the beginning, ``at`` is when the last of them was recorded. ``asked_at`` is the recorded
    time of our last step, ``arrived_before`` how many bytes had arrived when that was done.
    """

    def __init__(self, asked_at: int) -> None:
        self.size = 0
        self.at = 0
        self.asked_at = asked_at
        self.arrived_before = 0
        self._eof = False
        self._given_up = 0  # bytes that the replay has given up waiting for

    def add(self, at: int, size: int) -> None:
        """Expect more bytes."""
        self.size += size
        self.at = at

    def add_eof(self, at: int) -> None:
        """Expect a FIN."""
        self._eof = True
        self.at = at

    def step_done(self, at: int, arrived: int) -> None:
        """Take note of a step of ours that is done."""
        self.asked_at = at
        self.arrived_before = arrived

    def is_met(self, arrived: int) -> bool:
        """Whether ``arrived`` bytes are enough; only the end of the connection is where a FIN is expected."""
        return not self._eof and arrived + self._given_up >= self.size

    def give_up(self, arrived: int) -> None:
        """Wait no longer for what is missing."""
        self._given_up = max(0, self.size - arrived)
        self._eof = False
