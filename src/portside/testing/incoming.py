"""Bytes of a peer that wait to be matched: as one stream, or cut into messages by any framing."""

import re
from collections import deque

from portside.wire.frame import Frame
from portside.wire.framing import Framer, make_framer

LONGEST_BYTES = 1 << 20  # of a message, and of what waits for a regular expression to match


class Incoming:
    """Bytes that have come and are not taken. Times are in seconds of the caller's clock.

    Both views read one stream and may be mixed; changing from one to the other costs a copy of what waits.
    """

    def __init__(self) -> None:
        self.size = 0  # bytes that wait
        self.taken = 0  # bytes that were taken
        self._data = b""
        self._at = 0  # where what is not taken begins in ``_data``
        self._frame: Frame | None = None
        self._framer: Framer | None = None
        self._messages: deque[bytes] = deque()

    def feed(self, data: bytes, now: float) -> None:
        """Add what has come."""
        self.size += len(data)
        if self._framer is not None:
            self._messages += self._framer.feed(data, now)
            return
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0

    @property
    def deadline(self) -> float | None:
        """When ``expire`` is due; None where time does not matter."""
        return None if self._framer is None else self._framer.deadline

    def expire(self, now: float) -> None:
        """Complete a message that ends because time has passed."""
        if self._framer is not None:
            self._messages += self._framer.expire(now)

    def finish(self) -> None:
        """Complete the last message: nothing comes any more."""
        if self._framer is not None:
            self._messages += self._framer.finish()

    # As one stream.

    def starts_with(self, expected: bytes) -> bool | None:
        """Whether the stream goes on with some bytes; None while that is not known."""
        self._unframe()
        if self._data.startswith(expected, self._at):
            return True
        if self.size < len(expected) and expected.startswith(self._data[self._at :]):
            return None
        return False

    def match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """The match of a pattern at the beginning of the stream, at least one byte long."""
        self._unframe()
        found = pattern.match(self._data, self._at)
        return found if found is not None and found.end() > self._at else None

    def take(self, count: int) -> None:
        """Take bytes of the stream."""
        self._at += count
        self.size -= count
        self.taken += count

    def head(self, most: int) -> bytes:
        """The first bytes that wait."""
        self._unframe()
        return self._data[self._at : self._at + most]

    # As messages.

    def message(self, frame: Frame, now: float) -> bytes | None:
        """The first message; None while it is not complete. It is a ``Cut`` where it is longer than 1 MiB."""
        if self._framer is None or self._frame != frame:
            self._unframe()
            self._frame, self._framer = frame, make_framer(frame, LONGEST_BYTES)
            if self._at < len(self._data):
                self._messages += self._framer.feed(self._data[self._at :], now)
            self._data, self._at = b"", 0
        return self._messages[0] if self._messages else None

    def take_message(self) -> None:
        """Take the first message."""
        size = len(self._messages.popleft())
        self.size -= size
        self.taken += size

    def _unframe(self) -> None:
        if self._framer is not None:
            self._data = b"".join([*self._messages, *self._framer.finish()])
            self._at = 0
            self._messages.clear()
            self._frame = self._framer = None
