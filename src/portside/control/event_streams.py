"""Streams of events for subscribers: paced, bounded, and encoded once for all who want the same.

1. A stream is a position in the ring. On a common beat, at most 20 a second and only while there is something to send,
   each stream takes one frame: JSON Lines, of a bounded size, from a bounded number of events.
2. The next frame is made when the last one is sent, so a subscriber that does not read has one frame under way and is
   told later what it missed. The server never waits for it.
3. Streams at the same position that want the same get the same frame: two hundred cost the encoding of one.
4. All streams share what a beat may cost, so the more there are, and the more of them that want something of their
   own, the less each gets of a flood; one whose frame was
   larger, since an event is never divided, waits some beats longer.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from portside.control.event_json import PayloadMode, event_line, missed_line
from portside.control.ring import EventRing

if TYPE_CHECKING:
    from portside.control.event_filter import EventFilter

MOST_STREAMS: Final = 200
BEAT_S: Final = 0.05
_FRAME_BYTES: Final = 128 * 1024  # of a frame, which one event may exceed: a millisecond of work
_LEAST_FRAME_BYTES: Final = 4 * 1024
_BEAT_BYTES: Final = 2 << 20  # that are sent to all streams in one beat
_BEAT_NEW_BYTES: Final = 512 * 1024  # of frames that differ
_FRAME_EVENTS: Final = 32_768  # that are looked at for a frame: some milliseconds
_PLAIN_FRAME_EVENTS: Final = 4096  # the same where no filter leaves any out, so that the bytes are the limit
_LEAST_FRAME_EVENTS: Final = 512
_FEW_CONDITIONS: Final = 4  # that a filter may have until it looks at fewer events
_BEAT_EVENTS: Final = 65_536


class Selection(NamedTuple):
    """The choice of what a stream brings: with how much payload, and which events, by the text of a filter."""

    payload: PayloadMode
    filter: str = ""


class EventFrame(NamedTuple):
    """Some lines, and the number of the event to go on after."""

    lines: bytes
    after: int


class EventStreams:
    """The streams of one ring; on the loop's thread alone."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: EventRing) -> None:
        self.count = 0  # of streams, as ``open`` keeps it
        self._loop = loop
        self._ring = ring
        self._frames: dict[tuple[int, Selection], EventFrame] = {}  # of this beat
        self._distinct = 1  # frames, in the last beat
        self._next_beat: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._beat_at = -BEAT_S
        self._is_ended = False
        self._empty = asyncio.Event()
        ring.on_events = self._beat_soon

    @contextmanager
    def open(self) -> Iterator[None]:
        """Count a stream while it is open; the caller has seen to it that there are not MOST_STREAMS already."""
        self.count += 1
        self._empty.clear()
        try:
            yield
        finally:
            self.count -= 1
            if not self.count:
                self._empty.set()

    def frames(
        self, selection: Selection, wanted: "EventFilter | None", after: int | None, *, follow: bool = True
    ) -> AsyncIterator[bytes]:
        """Frames of the events after ``after``, or from this call on; with ``follow`` until the run ends.

        A number that no event has yet is one of an earlier run: then all that is held comes.
        """
        last = self._ring.last
        if after is None:
            after = last
        return self._frames_from(selection, wanted, after if after <= last else 0, follow=follow)

    async def _frames_from(
        self, selection: Selection, wanted: "EventFilter | None", position: int, *, follow: bool
    ) -> AsyncIterator[bytes]:
        ring = self._ring
        end = None if follow else ring.last
        while True:
            frame = self._frame(selection, wanted, position)
            position = frame.after
            if frame.lines:
                yield frame.lines
            is_behind = position < ring.last
            if (not is_behind and self._is_ended) or (end is not None and position >= end):
                return
            for _ in range(len(frame.lines) // self._frame_bytes):
                await self._beat(is_needed=True)
            await self._beat(is_needed=position < ring.last)

    async def end(self, patience: float) -> None:
        """End all streams after what the ring holds; those that are not read within ``patience`` seconds stay."""
        self._is_ended = True
        self._beat_soon()
        if self.count:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), patience)

    # The beat.

    def _beat_soon(self) -> None:
        """Have the next beat come, if anybody waits for it."""
        if self._next_beat is not None and self._timer is None:
            self._timer = self._loop.call_at(self._beat_at + BEAT_S, self._tick)

    async def _beat(self, *, is_needed: bool) -> None:
        """Wait for the next beat: it comes when there are events, and in any case where it is needed."""
        if self._next_beat is None:
            self._next_beat = self._loop.create_future()
        if is_needed:
            self._beat_soon()
        await asyncio.shield(self._next_beat)

    def _tick(self) -> None:
        self._timer = None
        self._beat_at = self._loop.time()
        self._distinct = max(1, len(self._frames))
        self._frames.clear()
        beat, self._next_beat = self._next_beat, None
        if beat is not None:
            beat.set_result(None)

    # Frames.

    @property
    def _frame_bytes(self) -> int:
        """The bytes of a frame: what a stream may take of a beat."""
        share = min(_BEAT_BYTES // max(1, self.count), _BEAT_NEW_BYTES // self._distinct)
        return max(_LEAST_FRAME_BYTES, min(_FRAME_BYTES, share))

    def _frame(self, selection: Selection, wanted: "EventFilter | None", after: int) -> EventFrame:
        key = (after, selection)
        frame = self._frames.get(key)
        if frame is None:
            frame = self._frames[key] = self._make_frame(selection, wanted, after)
        return frame

    def _frame_events(self, wanted: "EventFilter | None") -> int:
        """How many events a frame may look at: a long filter is asked of fewer."""
        if wanted is None:
            return max(_LEAST_FRAME_EVENTS, min(_PLAIN_FRAME_EVENTS, _BEAT_EVENTS // self._distinct))
        share = max(_LEAST_FRAME_EVENTS, min(_FRAME_EVENTS, _BEAT_EVENTS // self._distinct))
        return max(1, share * _FEW_CONDITIONS // max(_FEW_CONDITIONS, wanted.conditions))

    def _make_frame(self, selection: Selection, wanted: "EventFilter | None", after: int) -> EventFrame:
        ring, most_bytes = self._ring, self._frame_bytes
        matches = wanted.matches if wanted is not None else None
        entries, last = ring.read(after, self._frame_events(wanted), payload=wanted is None or wanted.takes_payload)
        lines: list[bytes] = []
        size, seen, missed = 0, after, 0
        for entry in entries:
            number, event = entry
            if number - seen > 1:
                missed += ring.dropped_between(seen, number)
            seen = number
            if matches is not None and not matches(event):
                continue
            if missed:
                lines.append(missed_line(number - 1, missed))
                missed = 0
            line = event_line(entry, selection.payload)
            if size and size + len(line) > most_bytes:
                return EventFrame(b"".join(lines), number - 1)
            lines.append(line)
            size += len(line)
        missed += ring.dropped_between(seen, last + 1)
        if missed:
            lines.append(missed_line(last, missed))
        return EventFrame(b"".join(lines), last)
