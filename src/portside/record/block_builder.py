"""The block of one connection while it is being collected, until the next flush."""

from collections.abc import Iterator

from portside.events import Event, Payload, Received, to_json
from portside.record.clock import ClockStep
from portside.record.notes import encode_step
from portside.record.segment import (
    ENTRY_BYTES,
    EVENT,
    MOST_ENTRIES,
    MOST_ENTRY_BYTES,
    NOTE,
    RECEIVED,
    SENT,
    meta_kind,
    pack_meta,
)

ENTRY_COST = 200  # bytes of memory that an entry takes beside its payload
_RECEIVED, _SENT = pack_meta(RECEIVED, 0), pack_meta(SENT, 0)
_SURELY_FEW = 1 << 18  # a block with fewer entries is not large, payload aside


class BlockBuilder:
    """Entries of one connection as three columns, and their sums in bytes; ``conn`` is the recording's number."""

    __slots__ = ("bodies", "conn", "events", "metas", "received", "sent", "steps", "times")

    def __init__(self, conn: int) -> None:
        self.conn = conn
        self.times: list[int] = []
        self.metas: list[int] = []
        self.bodies: list[bytes] = []
        self.events: list[tuple[int, Event]] = []  # with their steady times
        self.steps: list[ClockStep] = []
        self.received = 0
        self.sent = 0

    def add_payload(self, event: Payload) -> int:
        """Add bytes that passed, as several entries where they exceed MOST_ENTRY_BYTES; the number of bytes."""
        data = event.data
        size = len(data)
        if size > MOST_ENTRY_BYTES:
            for at in range(0, size, MOST_ENTRY_BYTES):
                self.add_payload(type(event)(event.at, event.conn, event.peer, data[at : at + MOST_ENTRY_BYTES]))
            return size
        if isinstance(event, Received):
            self.received += size
            self.metas.append(_RECEIVED | size)
        else:
            self.sent += size
            self.metas.append(_SENT | size)
        self.times.append(event.at)
        self.bodies.append(data)
        return size

    def add_event(self, event: Event, at: int) -> None:
        """Add an event without payload; ``at`` is its steady time (ns)."""
        encoded = to_json(event)  # first: an event that cannot be encoded leaves no trace in either column
        self.events.append((at, event))
        self.add(EVENT, at, encoded)

    def add_step(self, step: ClockStep) -> None:
        """Add a note that the wall clock was set; to a block of connection 0."""
        self.steps.append(step)
        self.add(NOTE, step.at, encode_step(step))

    def add(self, kind: int, at: int, data: bytes) -> None:
        """Add an entry of any kind but payload; ``at`` is steady time (ns)."""
        self.times.append(at)
        self.metas.append(pack_meta(kind, len(data)))
        self.bodies.append(data)

    def parts(self, most_bytes: int) -> Iterator["BlockBuilder"]:
        """The block itself, or its entries in blocks of at most ``most_bytes``; nothing where it is empty.

        Payload that is larger is split; so only a block with a single entry may exceed that, by its size in the block
        and, where it is an event, by its own.
        """
        if self.received + self.sent < most_bytes // 2 and len(self.times) < _SURELY_FEW:
            if self.times:
                yield self
            return
        part, size = BlockBuilder(self.conn), 0
        part.steps = self.steps
        events = iter(self.events)
        for at, packed, body in self._split_entries(most_bytes):
            cost = len(body) + ENTRY_BYTES
            if size and (size + cost > most_bytes or len(part.times) >= MOST_ENTRIES):
                yield part
                part, size = BlockBuilder(self.conn), 0
            part.times.append(at)
            part.metas.append(packed)
            part.bodies.append(body)
            kind = meta_kind(packed)
            if kind == RECEIVED:
                part.received += len(body)
            elif kind == SENT:
                part.sent += len(body)
            elif kind == EVENT:
                part.events.append(next(events))
            size += cost
        yield part

    def _split_entries(self, most_bytes: int) -> Iterator[tuple[int, int, bytes]]:
        """Time, kind with size, and bytes of each entry; payload in entries of at most ``most_bytes``."""
        for at, packed, body in zip(self.times, self.metas, self.bodies, strict=True):
            kind = meta_kind(packed)
            if len(body) <= most_bytes or kind not in (RECEIVED, SENT):
                yield at, packed, body
                continue
            for start in range(0, len(body), most_bytes):
                piece = body[start : start + most_bytes]
                yield at, pack_meta(kind, len(piece)), piece

    def extend(self, other: "BlockBuilder") -> None:
        """Append the entries of a later block."""
        self.times += other.times
        self.metas += other.metas
        self.bodies += other.bodies
        self.events += other.events
        self.steps += other.steps
        self.received += other.received
        self.sent += other.sent
