"""How much happens each second: the counts of a run, looked at once a second while somebody wants to know."""

import time
from typing import TYPE_CHECKING, NamedTuple

from portside.app.running_server import RunningServer

if TYPE_CHECKING:
    from asyncio import TimerHandle

_PERIOD_S = 1.0
_UNUSED_S = 60.0  # after so long without a question the counts are no longer looked at


class Sample(NamedTuple):
    """The counts at a time (s, of a clock that never goes back)."""

    at: float
    opened: int
    closed: int
    received: int
    sent: int


class Rates(NamedTuple):
    """Counts a second."""

    opened: float
    closed: float
    received: float
    sent: float


def sample_of(run: RunningServer) -> Sample:
    """The counts of a run as they are now."""
    server = run.server
    closed = server.totals.by_reason.total()
    return Sample(time.monotonic(), server.acceptor.connected, closed, server.received_bytes, server.sent_bytes)


class RateMeter:
    """Measures the rates of the last second; begins with the first question, and ends some time after the last."""

    def __init__(self, run: RunningServer) -> None:
        self._run = run
        self._last: Sample | None = None
        self._rates: Rates | None = None
        self._asked_at = 0.0
        self._timer: TimerHandle | None = None

    def rates(self) -> Rates | None:
        """The rates of the last whole second that was measured; None where none was yet."""
        self._asked_at = time.monotonic()
        if self._last is None:
            self._tick()
        return self._rates

    def _tick(self) -> None:
        before, now = self._last, sample_of(self._run)
        if now.at - self._asked_at > _UNUSED_S:
            self._last = self._rates = None
            return
        if before is not None:
            elapsed = now.at - before.at
            changes = (max(0, after - earlier) for earlier, after in zip(before[1:], now[1:], strict=True))
            self._rates = Rates(*(round(change / elapsed, 3) for change in changes))
        self._last = now
        self._timer = self._run.loop.call_later(_PERIOD_S, self._tick)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
