"""Base of the framed formats: a framer for each direction of each connection, and deadlines for unfinished lines.

A line that is still unfinished after 100 ms is shown as it is, so that a prompt or slow typing is visible. The one
exception is a line that ends in the middle of a UTF-8 character: its rest gets somewhat longer, so that a character
that comes in two reads is shown as one.
"""

import time
from collections.abc import Callable, Sequence

from portside.events import Closed, Event, HalfClosed, Payload, Received, Sent
from portside.wire.escaping import unfinished_utf8
from portside.wire.frame import Frame
from portside.wire.framing import make_framer

UNFINISHED_S = 0.1
UNFINISHED_CHARACTER_S = 5.0


class Stream:
    """One direction of one connection, in one renderer."""

    __slots__ = ("conn", "framer", "kind", "peer", "prefix", "since")

    def __init__(self, event: Payload, frame: Frame, max_frame: int, prefix: bytes) -> None:
        self.kind = type(event)
        self.conn = event.conn
        self.peer = event.peer
        self.framer = make_framer(frame, max_frame)
        self.prefix = prefix
        self.since: float | None = None  # since when bytes are held back


class StreamRenderer:
    """Base of the renderers that cut streams into messages; subclasses format messages and other events."""

    shows_unfinished = True  # whether people read it

    def __init__(self, frame: Frame, max_frame: int) -> None:
        self._frame = frame
        self._max_frame = max_frame
        self._in: dict[int, Stream] = {}
        self._out: dict[int, Stream] = {}
        self._waiting: dict[Stream, float] = {}
        self._half_closed: dict[int, tuple[HalfClosed, float]] = {}
        self.deadline: float | None = None
        self.on_error: Callable[[Exception], object] = _raise

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

    # The mechanism.

    def render(self, batch: Sequence[Event]) -> list[bytes]:
        out: list[bytes] = []
        now = time.monotonic()
        streams_in, streams_out, fast_path = self._in, self._out, self.fast_path
        for event in batch:
            try:
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
                if stream.since is not None:
                    data = self._complete(out, stream, event.at, data, now)
                    if not data:
                        continue
                taken = fast_path(out, stream, event.at, data)
                if taken != len(data):
                    self._cut(out, stream, event.at, data[taken:], now)
            except Exception as error:  # noqa: BLE001 -- one event's error must not cost the others of the batch
                self.on_error(error)
        return out

    def _complete(self, out: list[bytes], stream: Stream, at: int, data: bytes, now: float) -> bytes:
        """Cut no more of the data than completes what is held back; the rest of it, for the fast path."""
        end = data.find(b"\n") + 1 if self._frame.kind == "lines" else 0
        self._cut(out, stream, at, data[:end] if end else data, now)
        return data[end:] if end else b""

    def _other(self, out: list[bytes], event: Event, now: float) -> None:
        if isinstance(event, HalfClosed) and self.shows_unfinished:
            self._half_closed[event.conn] = event, now + UNFINISHED_S
            self._wait_until(now + UNFINISHED_S)
            return
        if isinstance(event, Closed):
            self._forget(out, event)
        out.append(self.other(event))

    def _cut(self, out: list[bytes], stream: Stream, at: int, data: bytes, now: float) -> None:
        """Cut received or sent bytes into messages."""
        framer = stream.framer
        messages = framer.feed(data, now)
        if messages:
            self.messages(out, stream, at, messages)
        if not framer.held:
            stream.since = None
            self._waiting.pop(stream, None)
            return
        if messages or stream.since is None:
            stream.since = now
        deadline = framer.deadline
        if deadline is None and self.shows_unfinished and self._frame.kind == "lines":
            unfinished = unfinished_utf8(framer.tail)
            deadline = now + UNFINISHED_CHARACTER_S if unfinished else stream.since + UNFINISHED_S
        if deadline is not None:
            self._waiting[stream] = deadline
            self._wait_until(deadline)

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
            self._finish(out, stream, at)
        still_open = [conn for conn, (_, deadline) in self._half_closed.items() if deadline <= now]
        for event in [self._half_closed.pop(conn)[0] for conn in still_open]:
            try:
                out.append(self.other(event))
            except Exception as error:  # noqa: BLE001
                self.on_error(error)
        deadlines = [*self._waiting.values(), *(deadline for _, deadline in self._half_closed.values())]
        self.deadline = min(deadlines, default=None)
        return out

    def _finish(self, out: list[bytes], stream: Stream, at: int) -> None:
        self._waiting.pop(stream, None)
        stream.since = None
        try:
            messages = stream.framer.finish()
            if messages:
                self.messages(out, stream, at, messages)
        except Exception as error:  # noqa: BLE001
            self.on_error(error)

    def _forget(self, out: list[bytes], event: Closed) -> None:
        self._half_closed.pop(event.conn, None)
        for streams in (self._in, self._out):
            stream = streams.pop(event.conn, None)
            if stream is not None and stream.since is not None:
                self._finish(out, stream, event.at)


def _raise(error: Exception) -> None:
    raise error
