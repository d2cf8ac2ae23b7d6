"""A stream cut into messages, incrementally and in bounded memory.

Rules that every framer keeps:

1. Messages are cut out of the stream and nothing is removed: a delimiter or a length stays in its message, and
   all messages and what ``finish`` returns, joined, are the stream.
2. A message longer than ``max_frame`` bytes comes in pieces of ``max_frame`` bytes. Each piece but the last is a
   ``Cut``: bytes that are not the end of their message.
3. At most ``max_frame`` bytes (and one delimiter or length) are held back, whatever arrives.
4. No clock: where time matters (``idle``), the caller passes it in and calls ``expire`` at ``deadline``.
"""

from typing import Protocol

from portside.wire.frame import INTEGERS, Frame, LengthField


class Cut(bytes):
    """A piece of a message longer than ``max_frame``: not its end."""

    __slots__ = ()


class Framer(Protocol):
    """The framer of one direction of one connection."""

    @property
    def deadline(self) -> float | None:
        """When ``expire`` should be called, on the clock of ``feed``; None where no time matters."""

    @property
    def held(self) -> int:
        """The number of bytes held back."""

    @property
    def tail(self) -> bytes:
        """The last of the bytes held back, three at most."""

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """Take what arrived at ``now`` (seconds); the messages that are complete with it."""

    def expire(self, now: float) -> list[bytes]:
        """The message that is complete because time passed."""

    def finish(self) -> list[bytes]:
        """End the stream: the bytes held back as one message. The framer can be reused afterwards."""


def whole_lines(data: bytes, max_frame: int) -> bytes:
    """The whole lines at the beginning of some data; empty where one of them is longer than ``max_frame`` bytes.

    It takes a few hops from line feed to line feed, no split.
    """
    end = len(data) if data.endswith(b"\n") else data.rfind(b"\n") + 1
    at = 0
    while end - at > max_frame:
        line_end = data.rfind(b"\n", at, at + max_frame)
        if line_end < 0:
            return b""
        at = line_end + 1
    return data if end == len(data) else data[:end]


def make_framer(frame: Frame, max_frame: int) -> Framer:
    """The framer for one direction of one connection; ``max_frame`` in bytes."""
    match frame.kind:
        case "none":
            return Unframed()
        case "lines":
            return Delimited(b"\n", max_frame)
        case "delim":
            return Delimited(frame.value, max_frame)
        case "fixed":
            return Fixed(frame.value, max_frame)
        case "length":
            return LengthPrefixed(frame.value, max_frame)
        case "idle":
            return Idle(frame.value, max_frame)
    raise ValueError(frame.kind)


class Unframed:
    """Makes a message of every read."""

    __slots__ = ()

    deadline = None
    held = 0
    tail = b""

    def feed(self, data: bytes, now: float) -> list[bytes]:
        return [data] if data else []

    def expire(self, now: float) -> list[bytes]:
        return []

    def finish(self) -> list[bytes]:
        return []


class _Holding:
    """Base of the framers that hold back the bytes of a message whose end has not been seen."""

    __slots__ = ("_held", "_max")

    deadline: float | None = None

    def __init__(self, max_frame: int) -> None:
        self._held = bytearray()
        self._max = max_frame

    @property
    def held(self) -> int:
        return len(self._held)

    @property
    def tail(self) -> bytes:
        return bytes(self._held[-3:])

    def expire(self, now: float) -> list[bytes]:
        return []

    def finish(self) -> list[bytes]:
        return self._end(b"") if self._held else []

    def _more(self, data: bytes) -> list[bytes]:
        """The message goes on with ``data``: what no longer fits comes out in pieces."""
        self._held += data
        if len(self._held) <= self._max:
            return []
        *cut, rest = self._pieces(bytes(self._held))
        self._held[:] = rest
        return cut

    def _end(self, data: bytes) -> list[bytes]:
        """The message ends with ``data``."""
        if self._held:
            data = bytes(self._held) + data
            self._held.clear()
        return [data] if len(data) <= self._max else self._pieces(data)

    def _pieces(self, message: bytes) -> list[bytes]:
        size = self._max
        last = (len(message) - 1) // size * size
        return [*(Cut(message[at : at + size]) for at in range(0, last, size)), message[last:]]


class Delimited(_Holding):
    """Messages end with a delimiter; ``lines`` is this with a line feed."""

    __slots__ = ("_delimiter", "_tail")

    def __init__(self, delimiter: bytes, max_frame: int) -> None:
        super().__init__(max_frame)
        self._delimiter = delimiter
        self._tail = b""  # the end of what is held, too short for a delimiter but maybe its beginning

    def feed(self, data: bytes, now: float) -> list[bytes]:
        delimiter = self._delimiter
        size = len(delimiter)
        messages: list[bytes] = []
        if self._tail:
            at = (self._tail + data[: size - 1]).find(delimiter)
            if at >= 0:
                end = at + size - len(self._tail)
                messages += self._end(data[:end])
                data = data[end:]
                self._tail = b""
        parts = data.split(delimiter)
        rest = parts.pop()
        if parts:
            messages += self._end(parts[0] + delimiter)
            if max(map(len, parts)) + size <= self._max:
                messages += [part + delimiter for part in parts[1:]]
            else:
                for part in parts[1:]:
                    messages += self._end(part + delimiter)
            self._tail = b""
        messages += self._more(rest)
        if size > 1:
            self._tail = (self._tail + rest)[1 - size :]
        return messages

    def finish(self) -> list[bytes]:
        self._tail = b""
        return super().finish()


class Fixed(_Holding):
    """Messages of one size."""

    __slots__ = ("_left", "_size")

    def __init__(self, size: int, max_frame: int) -> None:
        super().__init__(max_frame)
        self._size = self._left = size

    def feed(self, data: bytes, now: float) -> list[bytes]:
        if len(data) < self._left:
            self._left -= len(data)
            return self._more(data)
        messages = self._end(data[: self._left])
        size = self._size
        whole = len(data) - (len(data) - self._left) % size
        for at in range(self._left, whole, size):
            messages += self._end(data[at : at + size])
        self._left = size - (len(data) - whole)
        return messages + self._more(data[whole:])

    def finish(self) -> list[bytes]:
        self._left = self._size
        return super().finish()


class LengthPrefixed(_Holding):
    """Messages with a length field at a fixed place, which tells where they end.

    A message is never shorter than what comes up to the end of its field, whatever the field and the correction say: a
    length that would end a message inside its own header leaves the header as the whole message.
    """

    __slots__ = ("_correction", "_field", "_header_left", "_header_size", "_left", "_order", "_width")

    def __init__(self, field: LengthField, max_frame: int) -> None:
        super().__init__(max_frame)
        self._width, self._order = INTEGERS[field.integer]
        self._correction = field.correction
        self._header_size = field.offset + self._width
        self._header_left = self._header_size  # bytes still to come up to the end of the length field
        self._field = b""  # the last bytes of the header, at most as many as the length field has
        self._left = 0  # bytes still to come after the length field

    def feed(self, data: bytes, now: float) -> list[bytes]:
        messages: list[bytes] = []
        at = 0
        while at < len(data):
            start = at
            if self._header_left:
                header = data[start : start + self._header_left]
                at += len(header)
                self._header_left -= len(header)
                self._field = (self._field + header)[-self._width :]
                if self._header_left:
                    return messages + self._more(header)
                self._left = max(0, int.from_bytes(self._field, self._order) + self._correction)
            available = min(self._left, len(data) - at)
            at += available
            self._left -= available
            if self._left:
                messages += self._more(data[start:at])
            else:
                self._header_left = self._header_size
                messages += self._end(data[start:at])
        return messages

    def finish(self) -> list[bytes]:
        self._header_left, self._left = self._header_size, 0
        return super().finish()


class Idle(_Holding):
    """A message ends when nothing arrives for a while."""

    __slots__ = ("_gap", "deadline")

    def __init__(self, gap: float, max_frame: int) -> None:
        super().__init__(max_frame)
        self._gap = gap  # seconds
        self.deadline: float | None = None

    def feed(self, data: bytes, now: float) -> list[bytes]:
        messages = self.expire(now)
        messages += self._more(data)
        self.deadline = now + self._gap
        return messages

    def expire(self, now: float) -> list[bytes]:
        if self.deadline is None or now < self.deadline:
            return []
        return self.finish()

    def finish(self) -> list[bytes]:
        self.deadline = None
        return super().finish()
