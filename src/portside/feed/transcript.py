"""What has passed on one connection, kept in bounded memory, as events, bytes or the lines that ``listen`` shows."""

from collections import deque
from collections.abc import Iterator

from portside.events import Event, Payload, Received, Sent
from portside.feed.render import make_renderer
from portside.wire.frame import Frame
from portside.wire.text_encoding import UTF_8

DEFAULT_BYTES = 256 * 1024
_EVENT_BYTES = 200  # what an event takes beside its payload


class Transcript:
    """The newest events of a connection: ``list(transcript)``, or as text ``str(transcript)``.

    ``limit_bytes`` bounds the memory that it takes; what was dropped for that is counted in ``dropped_events`` and
    ``dropped_bytes`` (of payload). It goes on while the connection is open, and outlives it.

    >>> async with portside.connect("127.0.0.1:12345") as connection:
    ...     await connection.send(b"hello\\n")
    ...     data = await connection.receive()
    >>> connection.transcript.sent, connection.transcript.received
    (b'hello\\n', b'hello\\n')
    >>> str(connection.transcript).splitlines()[1][14:]
    '#1 127.0.0.1:12345  < hello'
    """

    def __init__(
        self,
        limit_bytes: int = DEFAULT_BYTES,
        *,
        frame: Frame | None = None,
        max_frame: int = 64 * 1024,
        encoding: str = UTF_8,
    ) -> None:
        """For Portside itself."""
        self.limit_bytes = limit_bytes
        self.dropped_events = 0
        self.dropped_bytes = 0
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._frame, self._max_frame, self._encoding = frame, max_frame, encoding

    def add(self, event: Event) -> None:
        """Add an event; the oldest give way where the limit is passed."""
        self._events.append(event)
        self._bytes += _size(event)
        while self._bytes > self.limit_bytes and self._events:
            oldest = self._events.popleft()
            self._bytes -= _size(oldest)
            self.dropped_events += 1
            if isinstance(oldest, Payload):
                self.dropped_bytes += len(oldest.data)

    def copy(self) -> "Transcript":
        """A copy of what has passed until now; on the thread that adds to it."""
        copied = Transcript(self.limit_bytes, frame=self._frame, max_frame=self._max_frame, encoding=self._encoding)
        copied.dropped_events, copied.dropped_bytes = self.dropped_events, self.dropped_bytes
        copied._events, copied._bytes = self._events.copy(), self._bytes
        return copied

    def __iter__(self) -> Iterator[Event]:
        return iter(tuple(self._events))

    def __len__(self) -> int:
        return len(self._events)

    @property
    def received(self) -> bytes:
        """The bytes from the peer, as far as they are kept."""
        return b"".join(event.data for event in self._events if isinstance(event, Received))

    @property
    def sent(self) -> bytes:
        """The bytes to the peer, as far as they are kept."""
        return b"".join(event.data for event in self._events if isinstance(event, Sent))

    def __str__(self) -> str:
        """The lines that ``listen`` would show, without colours; nothing in them is a control character."""
        renderer = make_renderer(
            "text", frame=self._frame, max_frame=self._max_frame, encoding=self._encoding, clock=lambda: 0.0
        )
        events = tuple(self._events)
        lines = [*renderer.render(events), *renderer.tick(float("inf"), events[-1].at if events else 0)]
        dropped = (
            f"-- {self.dropped_events} earlier events with {self.dropped_bytes} B are not kept\n"
            if self.dropped_events
            else ""
        )
        return dropped + b"".join(lines).decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"<portside.Transcript of {len(self._events)} events>"


def _size(event: Event) -> int:
    return _EVENT_BYTES + (len(event.data) if isinstance(event, Payload) else 0)
