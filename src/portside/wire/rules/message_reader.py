"""A client's stream as the messages that rules see: framed, without the bytes that end a message.

A line comes without its LF or CR LF, a message of ``delim:HEX`` without the delimiter; other messages are whole.
A message longer than ``max_frame`` bytes matches no rule, so it is left out.
"""

from portside.wire.frame import Frame
from portside.wire.framing import Cut, make_framer


class MessageReader:
    """Reader of one client's stream. As in ``framing.Framer``, time comes from the caller."""

    __slots__ = ("_end", "_framer", "_in_cut", "_lines", "_longest")

    def __init__(self, frame: Frame, max_frame: int) -> None:
        self._framer = make_framer(frame, max_frame)
        self._lines = frame.kind == "lines"
        self._end: bytes = frame.value if frame.kind == "delim" else b""
        self._in_cut = False
        self._longest = max_frame

    @property
    def deadline(self) -> float | None:
        """When ``expire`` should be called; None where no time matters."""
        return self._framer.deadline

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """The messages that are complete with ``data``."""
        if (
            self._lines
            and data.count(b"\n", 0, self._longest + 1) == 1
            and len(data) <= self._longest
            and data.endswith(b"\n")
            and not self._in_cut
            and not self._framer.held
        ):  # the usual case: one whole line
            return [data[:-2] if data.endswith(b"\r\n") else data[:-1]]
        return self._messages(self._framer.feed(data, now))

    def expire(self, now: float) -> list[bytes]:
        """The message that is complete because time passed."""
        return self._messages(self._framer.expire(now))

    def finish(self) -> list[bytes]:
        """The bytes of a message whose end has not come, as a message."""
        return self._messages(self._framer.finish())

    def _messages(self, pieces: list[bytes]) -> list[bytes]:
        if self._in_cut or any(type(piece) is Cut for piece in pieces):
            pieces = self._without_cut(pieces)
        if self._lines:
            return [_strip_line_end(piece) for piece in pieces]
        return [piece.removesuffix(self._end) for piece in pieces] if self._end else pieces

    def _without_cut(self, pieces: list[bytes]) -> list[bytes]:
        kept = []
        for piece in pieces:
            is_cut = isinstance(piece, Cut)
            if not is_cut and not self._in_cut:
                kept.append(piece)
            self._in_cut = is_cut
        return kept


def _strip_line_end(line: bytes) -> bytes:
    if line.endswith(b"\r\n"):
        return line[:-2]
    return line[:-1] if line.endswith(b"\n") else line
