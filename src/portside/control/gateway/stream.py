"""The objects of a blocking stream as frames in a loop: a thread reads them, a bounded size ahead."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any, Final

from portside.control.client.finder import Lines
from portside.errors import PortsideError
from portside.json_text import encode_json

_MOST_WAITING_BYTES: Final = 128 * 1024  # the stream is not read on while more wait for the subscriber


class StreamReader:
    """Reads a stream on a thread. ``close`` ends it; after that the thread ends too."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._loop = asyncio.get_running_loop()
        self._come = asyncio.Event()
        self._room = threading.Condition()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._end: PortsideError | None = None
        self._has_ended = self._is_closed = False
        threading.Thread(target=self._read, name="events", daemon=True).start()

    async def frames(self) -> AsyncIterator[bytes]:
        """Frames of JSON Lines, each with all that has come since the one before. Raises what the stream raised."""
        while True:
            await self._come.wait()
            self._come.clear()
            with self._room:
                lines, has_ended = self._waiting, self._has_ended
                self._waiting, self._waiting_bytes = [], 0
                self._room.notify()
            if lines:
                yield b"".join(lines)
            if has_ended:
                if self._end is not None:
                    raise self._end
                return

    def close(self) -> None:
        """End the stream; once or again."""
        with self._room:
            self._is_closed = True
            self._room.notify()
        self._lines.close()

    def _read(self) -> None:
        end: PortsideError | None = None
        try:
            for item in self._lines:
                self._put(item)
                if self._is_closed:
                    break
        except PortsideError as error:
            end = error
        with self._room:
            self._has_ended, self._end = True, end
        self._tell()

    def _put(self, item: dict[str, Any]) -> None:
        line = encode_json(item) + b"\n"
        with self._room:
            self._room.wait_for(lambda: self._waiting_bytes < _MOST_WAITING_BYTES or self._is_closed)
            self._waiting.append(line)
            self._waiting_bytes += len(line)
            is_first = len(self._waiting) == 1
        if is_first:
            self._tell()

    def _tell(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._come.set)
        except RuntimeError:
            pass  # the loop is closed, at the end of the run
