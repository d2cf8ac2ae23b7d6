"""A client's stream as the messages that rules see: cut as --frame says, without what ends them.

A line comes without its LF or CR LF, a message of ``delim:HEX`` without the delimiter; of the others nothing is taken.
A message longer than --max-frame meets no rule, so none of it comes out.
"""

from portside.wire.frame import Frame
from portside.wire.framing import Cut, make_framer


class MessageReader:
    """One client's; as ``framing.Framer``, time comes from the caller."""

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
        """The messages that are complete with it."""
        if (
            self._lines
            and data.count(b"\n", 0, self._longest + 1) == 1
            and len(data) <= self._longest
            and data.endswith(b"\n")
            and not self._in_cut
            and not self._framer.held
        ):  # what most clients send: one whole line
            return [data[:-2] if data.endswith(b"\r\n") else data[:-1]]
        return self._messages(self._framer.feed(data, now))

    def expire(self, now: float) -> list[bytes]:
        """The message that is complete because time passed."""
        return self._messages(self._framer.expire(now))

    def finish(self) -> list[bytes]:
        """What is there of a message without its end."""
        return self._messages(self._framer.finish())

    def _messages(self, pieces: list[bytes]) -> list[bytes]:
        if self._in_cut or any(type(piece) is Cut for piece in pieces):
            pieces = self._uncut(pieces)
        if self._lines:
            return [_bare(piece) for piece in pieces]
        return [piece.removesuffix(self._end) for piece in pieces] if self._end else pieces

    def _uncut(self, pieces: list[bytes]) -> list[bytes]:
        kept = []
        for piece in pieces:
            is_cut = isinstance(piece, Cut)
            if not is_cut and not self._in_cut:
                kept.append(piece)
            self._in_cut = is_cut
        return kept


def _bare(line: bytes) -> bytes:
    if line.endswith(b"\r\n"):
        return line[:-2]
    return line[:-1] if line.endswith(b"\n") else line
