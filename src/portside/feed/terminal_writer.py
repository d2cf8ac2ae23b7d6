"""A writer to a terminal on which the line that somebody is typing stays whole below the output."""

import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Final, Unpack

from portside.feed.writer import PIECE_BYTES, Reactions, Writer
from portside.wire.bottom_line import DEFAULT_SIZE, BottomLine

_FRAME_BYTES: Final = 2 * PIECE_BYTES  # of output in a frame, which is no more than a terminal draws in some ms
_STILL_S: Final = 0.02  # that the line stands between two frames of a flood: without it, it is hardly ever seen


class TerminalWriter(Writer):
    """Writes whole lines of output, each time with ``line`` drawn below them.

    While there is a line, a flood goes by at 1.6 MB/s at most, so that the line can be read; the sink skips the rest.
    ``put`` and ``redraw`` may be called by any thread: notices of all threads come through here too.
    """

    def __init__(self, fd: int, name: str, call_soon: Callable[..., object], **reactions: Unpack[Reactions]) -> None:
        self.line = BottomLine()
        self._drawing = threading.Lock()  # held while a frame is made and written
        self._putting = threading.Lock()
        self._redraw_queued = False
        self._framed_at = 0.0  # when the last frame was written (``time.monotonic()``)
        super().__init__(fd, name, call_soon, **reactions)

    def put(self, buffers: list[bytes]) -> None:
        """Queue buffers behind all earlier ones."""
        with self._putting:
            super().put(buffers)

    def redraw(self) -> None:
        """Draw the line as it is wanted now, soon."""
        if not self._redraw_queued:
            self._redraw_queued = True
            self.put([])

    def hide_now(self, patience_s: float) -> None:
        """Hide the line before the return, unless the terminal takes nothing for ``patience_s`` seconds."""
        self.line.hidden = True
        if not self._drawing.acquire(timeout=patience_s):
            return
        try:
            if select.select([], [self._fd], [], patience_s)[1]:
                with suppress(OSError):
                    os.write(self._fd, self.line.frame(b""))
        finally:
            self._drawing.release()

    # On the writer's own thread.

    def _write(self, buffers: list[bytes]) -> None:
        self._redraw_queued = False
        output = b"".join(buffers)
        for start, end in _pieces(output):
            if end and self.line.is_drawn and (still_s := self._framed_at + _STILL_S - time.monotonic()) > 0:
                self._stopping.wait(still_s)
            with self._drawing:
                self._look_at_size()
                frame = memoryview(self.line.frame(output[start:end]))
                while frame:
                    frame = frame[self._writev([frame], len(frame)) :]
            self._done += end - start
            self._framed_at = time.monotonic()
        self._check_drained()

    def _look_at_size(self) -> None:
        """Ask for the size of the terminal each time: the signal that it has changed comes later."""
        with suppress(OSError):
            columns, rows = os.get_terminal_size(self._fd)
            self.line.size = (columns or DEFAULT_SIZE[0], rows or DEFAULT_SIZE[1])


def _pieces(output: bytes) -> list[tuple[int, int]]:
    """Start and end of each frame of output, one at least: whole lines, up to _FRAME_BYTES unless one is longer."""
    cuts = [0]
    while len(output) - cuts[-1] > _FRAME_BYTES:
        start = cuts[-1]
        end = output.rfind(b"\n", start, start + _FRAME_BYTES) + 1 or output.find(b"\n", start) + 1
        if not end:
            break
        cuts.append(end)
    if cuts[-1] < len(output) or len(cuts) == 1:
        cuts.append(len(output))
    return list(pairwise(cuts))
