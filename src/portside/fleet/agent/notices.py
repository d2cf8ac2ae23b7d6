"""What the run says on standard error: each thing once, and again when it has long been so."""

import re
import threading
import time
from collections.abc import Callable
from typing import Final

from portside.app.notices import Notify, write_notice
from portside.errors import Hint

AGAIN_S: Final = 3600.0
_MOST_REMEMBERED: Final = 256
_NUMBER: Final = re.compile(r"\d+")


class AgentNotices:
    """Writes notices, from any thread; one that differs from an earlier one in its numbers alone is the same one.

    ``current`` are those of the last hour, for the status of the node.
    """

    def __init__(self, write: Notify = write_notice, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._lock = threading.Lock()
        self._said: dict[str, tuple[float, str]] = {}

    def __call__(self, words: str, hint: Hint = None) -> None:
        """Write a notice unless it was written within the last hour."""
        key, now = _NUMBER.sub("#", words), self._clock()
        with self._lock:
            before = self._said.get(key)
            if before is not None and now - before[0] < AGAIN_S:
                return
            self._said.pop(key, None)
            self._said[key] = (now, words)
            while len(self._said) > _MOST_REMEMBERED:
                del self._said[next(iter(self._said))]
        self._write(words, hint)

    def current(self, most: int) -> tuple[str, ...]:
        """The newest notices of the last hour, so many at most, the oldest first."""
        now = self._clock()
        with self._lock:
            recent = [words for at, words in self._said.values() if now - at < AGAIN_S]
        return tuple(recent[-most:])
