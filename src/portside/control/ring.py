"""The newest events of a run, numbered, in bounded memory: what consoles read.

The ring is a sink of the feed that never is full. Every event gets the next number from 1 on, counted from when the
ring was added to the bus. Payload and all other events are bounded apart, by count and by bytes, so that no flood of
payload drives out who connected, closed or was refused.

A reader holds nothing but the number of the last event that it has seen, so any number of slow ones cost nothing. As
the numbers have no holes, each number missing from what ``read`` returns is an event that is held no longer.

Nothing is made for an event; what is done for each is done in C, for a batch.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Final

from portside.control.blocks import EVENT_BYTES, Entry, EventBlock
from portside.control.messages import MessageStore
from portside.events import Closed, Event, HalfClosed, Opened, Received, Sent
from portside.json_text import encode_json

PAYLOAD_BYTES: Final = 8 << 20
PAYLOAD_EVENTS: Final = 50_000
OTHER_BYTES: Final = 8 << 20
OTHER_EVENTS: Final = 50_000
_OTHER_EVENT_BYTES: Final = 400  # of memory for an event without payload, with its texts
_BLOCK_EVENTS: Final = 512
_BLOCK_BYTES: Final = 256 * 1024

_PAYLOAD_TYPES: Final = frozenset((Received, Sent))
_SMALL_TYPES: Final = frozenset((Received, Sent, HalfClosed))  # without texts of their own beside the peer
_data_of: Final = attrgetter("data")


class _Lane:
    """Events of one kind, the newest of which are held.

    ``on_full`` is called with a block when it gets no more events, ``on_dropped`` afterwards when it is dropped.
    """

    def __init__(
        self,
        most_events: int,
        most_bytes: int,
        on_full: Callable[[EventBlock], None] = lambda _block: None,
        on_dropped: Callable[[EventBlock], None] = lambda _block: None,
    ) -> None:
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._on_full = on_full
        self._on_dropped = on_dropped
        self._block_events = max(1, min(_BLOCK_EVENTS, most_events // 8))
        self._block_bytes = min(_BLOCK_BYTES, most_bytes // 8)
        self.blocks: deque[EventBlock] = deque()
        self.events = 0
        self.bytes = 0
        self.dropped_to = 0  # the number of the newest event that is held no longer

    def add(self, numbers: Sequence[int], events: Sequence[Event], weight: int) -> None:
        """Add events, and drop the oldest while there are too many."""
        last = self.blocks[-1] if self.blocks else None
        if (
            last is not None
            and len(last.events) + len(events) <= self._block_events
            and last.weight + weight <= self._block_bytes
        ):
            last.extend(numbers, events, weight)
        else:
            if last is not None:
                self._on_full(last)
            self.blocks.append(EventBlock(numbers, list(events), weight))
        self.events += len(events)
        self.bytes += weight
        while self.events > self._most_events or self.bytes > self._most_bytes:
            self._drop()

    def _drop(self) -> None:
        dropped = self.blocks.popleft()
        self.dropped_to = dropped.numbers[-1]
        self.events -= len(dropped.events)
        self.bytes -= dropped.weight
        if not self.blocks:
            self._on_full(dropped)
        self._on_dropped(dropped)

    def after(self, number: int, limit: int) -> list[Entry]:
        """The oldest ``limit`` events with a number above ``number``."""
        found: list[Entry] = []
        for block in self._blocks_after(number):
            start = bisect_right(block.numbers, number)
            found += zip(block.numbers[start:], block.events[start:], strict=True)
            if len(found) >= limit:
                del found[limit:]
                break
        return found

    def count_between(self, after: int, before: int) -> int:
        """How many events with numbers between two are held."""
        if before <= self.dropped_to + 1:
            return 0
        return sum(
            bisect_left(block.numbers, before) - bisect_right(block.numbers, after)
            for block in self._blocks_after(after)
        )

    def _blocks_after(self, number: int) -> Iterator[EventBlock]:
        """The blocks that have events with a number above ``number``. Readers are near the end, as a rule."""
        blocks = self.blocks
        at = len(blocks)
        while at and blocks[at - 1].numbers[-1] > number:
            at -= 1
        for index in range(at, len(blocks)):
            yield blocks[index]


class EventRing:
    """The newest events with their numbers; a sink of the feed.

    ``messages`` remembers payload for longer. ``on_events`` is called after each batch.
    """

    full = False
    deadline = None

    def __init__(
        self,
        messages: MessageStore | None = None,
        *,
        payload_events: int = PAYLOAD_EVENTS,
        payload_bytes: int = PAYLOAD_BYTES,
        other_events: int = OTHER_EVENTS,
        other_bytes: int = OTHER_BYTES,
    ) -> None:
        self.last = 0  # the number of the newest event
        self.on_events: Callable[[], None] = lambda: None
        self._messages = messages
        if messages is None:
            self._payload = _Lane(payload_events, payload_bytes)
        else:
            self._payload = _Lane(payload_events, payload_bytes, messages.enters, messages.leaves)
            messages.newest = self._payload.blocks
        self._others = _Lane(other_events, other_bytes)

    @property
    def held_events(self) -> int:
        """How many events can be read."""
        return self._payload.events + self._others.events

    @property
    def held_bytes(self) -> int:
        """The memory of what is held, about."""
        return self._payload.bytes + self._others.bytes

    def consume(self, batch: Sequence[Event]) -> None:
        """Number events and hold them."""
        numbers = range(self.last + 1, self.last + 1 + len(batch))
        self.last += len(batch)
        if _PAYLOAD_TYPES.issuperset(map(type, batch)):
            self._add_payload(numbers, batch)
        else:
            self._add_mixed(numbers, batch)
        self.on_events()

    def _add_payload(self, numbers: Sequence[int], events: Sequence[Event]) -> None:
        self._payload.add(numbers, events, sum(map(len, map(_data_of, events))) + len(events) * EVENT_BYTES)

    def _add_mixed(self, numbers: Sequence[int], batch: Sequence[Event]) -> None:
        """Part a batch; one pass, since many short connections bring few events of a kind at a time."""
        payload: tuple[list[int], list[Event]] = ([], [])
        others: tuple[list[int], list[Event]] = ([], [])
        closed: list[int] = []
        text_bytes = 0
        for number, event in zip(numbers, batch, strict=True):
            kind = type(event)
            kept = payload if kind in _PAYLOAD_TYPES else others
            kept[0].append(number)
            kept[1].append(event)
            if kind is Closed:
                closed.append(event.conn)  # type: ignore[attr-defined]
            if kind not in _SMALL_TYPES:
                text_bytes += _text_bytes(event)
        if payload[0]:
            self._add_payload(*payload)
        self._others.add(*others, len(others[0]) * _OTHER_EVENT_BYTES + text_bytes)
        if self._messages is not None:
            for conn in closed:
                self._messages.closed(conn)

    def read(self, after: int, limit: int, *, payload: bool = True) -> tuple[list[Entry], int]:
        """The oldest ``limit`` of the held events with numbers above ``after``, and the number to go on after.

        ``payload`` is False where events with payload are of no interest.
        """
        others = self._others.after(after, limit)
        messages = self._payload.after(after, limit) if payload else []
        # Two ascending runs, in which no number is twice: no events are compared.
        entries = sorted(others + messages) if others and messages else others or messages
        if len(entries) < limit:
            return entries, max(after, self.last)
        del entries[limit:]
        return entries, entries[-1][0]

    def dropped_between(self, after: int, before: int) -> int:
        """How many events with numbers between two are held no longer."""
        if after >= max(self._payload.dropped_to, self._others.dropped_to):
            return 0
        held = self._payload.count_between(after, before) + self._others.count_between(after, before)
        return before - after - 1 - held

    def tick(self) -> None:
        """Do nothing: the ring has no deadline."""

    def request_drain(self) -> None:
        """Do nothing: the ring never is full."""

    def drained(self) -> None:
        """Do nothing: it was another sink that was full."""


def _text_bytes(event: Event) -> int:
    """The memory of long texts: what a PROXY header or a certificate brought may be 64 kB."""
    if isinstance(event, Opened):
        return 0 if event.tls is None and event.proxy is None else 4 * len(encode_json((event.tls, event.proxy)))
    text = getattr(event, "error", None) or getattr(event, "detail", None)
    return 2 * len(text) if text else 0
