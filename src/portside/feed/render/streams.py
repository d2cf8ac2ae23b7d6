"""Base of the framed formats: a framer for each direction of each connection, and deadlines for unfinished lines.

A line that is still unfinished after 100 ms is shown as it is, so that a prompt or slow typing is visible. It stands
where it belongs by the time at which it began to come, and has that time: what came after it waits for it
(``ordered_output``). The one exception is a line that ends in the middle of a UTF-8 character: its rest gets somewhat
longer, so that a character that comes in two reads is shown as one, and nothing waits for it.
"""

import time
from collections.abc import Callable, Sequence

from portside.events import Closed, Event, HalfClosed, Payload, Received, Sent, Stopped
from portside.feed.render.ordered_output import EventLine, OrderedOutput, Place
from portside.wire.escaping import unfinished_utf8
from portside.wire.frame import Frame
from portside.wire.framing import Cut, make_framer
from portside.wire.text_encoding import UTF_8, ToUtf8

UNFINISHED_S = 0.1
UNFINISHED_CHARACTER_S = 5.0


class Stream:
    """One direction of one connection, in one renderer."""

    __slots__ = ("at", "conn", "converter", "framer", "kind", "peer", "place", "prefix", "since")

    def __init__(self, event: Payload, frame: Frame, max_frame: int, prefix: bytes) -> None:
        self.kind = type(event)
        self.conn = event.conn
        self.peer = event.peer
        self.framer = make_framer(frame, max_frame)
        self.prefix = prefix
        self.since: float | None = None  # since when bytes are held back
        self.at = 0  # when the first of them came (ns)
        self.converter: ToUtf8 | None = None  # of its messages, where they are in another encoding
        self.place: Place | None = None  # for them, where they are shown unfinished


class StreamRenderer:
    """Base of the renderers that cut streams into messages; subclasses format messages and other events."""

    shows_unfinished = True  # whether people read it

    def __init__(self, frame: Frame, max_frame: int) -> None:
        self._frame = frame
        self._max_frame = max_frame
        self._in: dict[int, Stream] = {}
        self._out: dict[int, Stream] = {}
        self._waiting: dict[Stream, float] = {}
        self._half_closed: dict[int, tuple[HalfClosed, float, Place]] = {}
        self._order = OrderedOutput()
        self.deadline: float | None = None
        self.clock: Callable[[], float] = time.monotonic
        self.on_error: Callable[[Exception], object] = _raise
        self.encoding = UTF_8  # of each message by itself

    # What a format writes.

    def prefix(self, event: Payload) -> bytes:
        """The prefix of each message of a stream."""
        raise NotImplementedError

    def messages(self, out: list[bytes], stream: Stream, at: int, messages: list[bytes]) -> None:
        """Append the rendered messages, which were complete at ``at`` (ns)."""
        raise NotImplementedError

    def other(self, event: Event) -> bytes:
        """An event without payload, rendered; empty where the format does not show it."""
        raise NotImplementedError

    def text_of(self, stream: Stream, message: bytes) -> bytes:
        """A message as UTF-8. A character that a cut divides is converted with the next piece."""
        if self.encoding == UTF_8:
            return message
        if stream.converter is None:
            stream.converter = ToUtf8(self.encoding)
        return stream.converter.convert(message, final=type(message) is not Cut)

    # The mechanism.

    def render(self, batch: Sequence[Event]) -> list[bytes]:
        rendered: list[bytes] = []
        now = self.clock()
        streams_in, streams_out, fast_path = self._in, self._out, self.fast_path
        places, behind = self._order.places, 0
        for event in batch:
            try:
                out = places[-1].after if places else rendered
                if isinstance(event, Received):
                    streams = streams_in
                elif isinstance(event, Sent):
                    streams = streams_out
                else:
                    self._other(out, event, now)
                    continue
                stream = streams.get(event.conn)
                if stream is None:
                    stream = streams[event.conn] = Stream(event, self._frame, self._max_frame, self.prefix(event))
                data = event.data
                if places:
                    behind += len(data)
                if stream.since is not None:
                    data = self._complete(out, stream, event.at, data, now)
                    if not data:
                        continue
                taken = fast_path(out, stream, event.at, data)
                if taken != len(data):
                    self._cut(out, stream, event.at, data[taken:], now)
            except Exception as error:  # noqa: BLE001 -- one event's error must not cost the others of the batch
                self.on_error(error)
        if places:
            self._order.release(rendered)
            if places and self._order.is_too_long(behind):
                self._give_up_places(rendered)
        return rendered

    def _complete(self, out: list[bytes], stream: Stream, at: int, data: bytes, now: float) -> bytes:
        """Cut no more of the data than completes what is held back; the rest of it, for the fast path."""
        end = data.find(b"\n") + 1 if self._frame.kind == "lines" else 0
        self._cut(out, stream, at, data[:end] if end else data, now)
        return data[end:] if end else b""

    def _other(self, out: list[bytes], event: Event, now: float) -> None:
        if isinstance(event, HalfClosed) and self.shows_unfinished:
            if event.conn in self._half_closed:  # a second one, which a recording of others may hold
                self._show_half_closed(event.conn)
            self._half_closed[event.conn] = event, now + UNFINISHED_S, self._order.reserve()
            self._wait_until(now + UNFINISHED_S)
            return
        if isinstance(event, Closed):
            self._forget(out, event)
        elif isinstance(event, Stopped):
            self._finish_all(event.at)
        out.append(EventLine(self.other(event)))

    def _cut(self, out: list[bytes], stream: Stream, at: int, data: bytes, now: float) -> None:
        """Cut received or sent bytes into messages."""
        framer = stream.framer
        messages = framer.feed(data, now)
        if messages:
            self._settle(stream, [])
            self.messages(out, stream, at, messages)
        if not framer.held:
            stream.since = None
            self._waiting.pop(stream, None)
            return
        if messages or stream.since is None:
            stream.since, stream.at = now, at
        deadline = framer.deadline
        if deadline is None and self.shows_unfinished and self._frame.kind == "lines":
            deadline = self._hold_line(stream, at, now)
        if deadline is not None:
            self._waiting[stream] = deadline
            self._wait_until(deadline)

    def _hold_line(self, stream: Stream, at: int, now: float) -> float:
        """Hold back an unfinished line: when it is shown as it stands."""
        if unfinished_utf8(stream.framer.tail):
            self._settle(stream, [])
            return now + UNFINISHED_CHARACTER_S
        if stream.place is None:
            stream.place, stream.at = self._order.reserve(), at
        return (stream.since or now) + UNFINISHED_S

    def _settle(self, stream: Stream, pieces: list[bytes]) -> None:
        """Fill the place of a stream, if it has one; without pieces it stays empty."""
        if stream.place is not None:
            stream.place.pieces = pieces
            stream.place = None

    def fast_path(self, out: list[bytes], stream: Stream, at: int, data: bytes) -> int:
        """Render the whole messages at the beginning of some data at once, while nothing is held back.

        The result is the number of bytes rendered, 0 where there is no fast path for them. The output must be what
        ``_cut`` would make of the same bytes.
        """
        return 0

    def _wait_until(self, deadline: float) -> None:
        if self.deadline is None or deadline < self.deadline:
            self.deadline = deadline

    def tick(self, now: float, at: int | None = None) -> list[bytes]:
        out: list[bytes] = []
        if at is None:
            at = time.time_ns()
        for stream in [stream for stream, deadline in self._waiting.items() if deadline <= now]:
            self._finish(self._order.end(out), stream, at)
        for conn in [conn for conn, (_, deadline, _) in self._half_closed.items() if deadline <= now]:
            self._show_half_closed(conn)
        self._order.release(out)
        deadlines = [*self._waiting.values(), *(deadline for _, deadline, _ in self._half_closed.values())]
        self.deadline = min(deadlines, default=None)
        return out

    def _finish(self, out: list[bytes], stream: Stream, at: int) -> None:
        """Show what is held back: at its place and with its time, or else at the end, with ``at`` (ns)."""
        self._waiting.pop(stream, None)
        stream.since = None
        pieces = out if stream.place is None else []
        has_own_time = stream.place is not None or (self._frame.kind == "lines" and not self.shows_unfinished)
        self._settle(stream, pieces)  # before it is filled, which may fail: nothing may wait for it then
        try:
            messages = stream.framer.finish()
            if messages:
                self.messages(pieces, stream, stream.at if has_own_time else at, messages)
        except Exception as error:  # noqa: BLE001
            self.on_error(error)

    def _show_half_closed(self, conn: int) -> None:
        event, _, place = self._half_closed.pop(conn)
        place.pieces = []
        try:
            place.pieces.append(EventLine(self.other(event)))
        except Exception as error:  # noqa: BLE001
            self.on_error(error)

    def _forget(self, out: list[bytes], event: Closed) -> None:
        if event.conn in self._half_closed:
            _, _, place = self._half_closed.pop(event.conn)
            place.pieces = []
        for streams in (self._in, self._out):
            stream = streams.pop(event.conn, None)
            if stream is not None and stream.since is not None:
                self._finish(out, stream, event.at)

    def _finish_all(self, at: int) -> None:
        """Settle every place, at the end of the run."""
        for stream in list(self._waiting):
            if stream.place is not None:
                self._finish([], stream, at)
        for conn in list(self._half_closed):
            self._show_half_closed(conn)

    def _give_up_places(self, out: list[bytes]) -> None:
        """Let nothing wait any longer: unfinished lines are shown later, with the time at which that happens."""
        for stream in self._waiting:
            self._settle(stream, [])
        for conn in list(self._half_closed):
            self._show_half_closed(conn)
        self._order.release(out)


def _raise(error: Exception) -> None:
    raise error
