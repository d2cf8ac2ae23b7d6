"""What is collected of one connection until the next flush."""

from portside.events import Event, Payload, Received, to_json
from portside.record.segment import EVENT, MOST_ENTRY_BYTES, RECEIVED, SENT, meta

ENTRY_COST = 200  # bytes of memory that an entry takes beside its payload


class Block:
    """Entries of one connection: three columns, and the sums that the index wants. ``conn`` is the recording's."""

    __slots__ = ("bodies", "conn", "events", "metas", "received", "sent", "times")

    def __init__(self, conn: int) -> None:
        self.conn = conn
        self.times: list[int] = []
        self.metas: list[int] = []
        self.bodies: list[bytes] = []
        self.events: list[Event] = []
        self.received = 0
        self.sent = 0

    def add_payload(self, event: Payload) -> None:
        """Bytes that passed."""
        data = event.data
        size = len(data)
        if size > MOST_ENTRY_BYTES:
            for at in range(0, size, MOST_ENTRY_BYTES):
                self.add_payload(type(event)(event.at, event.conn, event.peer, data[at : at + MOST_ENTRY_BYTES]))
            return
        if isinstance(event, Received):
            self.received += size
            self.metas.append(meta(RECEIVED, size))
        else:
            self.sent += size
            self.metas.append(meta(SENT, size))
        self.times.append(event.at)
        self.bodies.append(data)

    def add_event(self, event: Event) -> None:
        """Anything else that happened; its ``conn`` is the recording's already."""
        self.events.append(event)
        self.add(EVENT, event.at, to_json(event))

    def add(self, kind: int, at: int, data: bytes) -> None:
        """An entry of any kind but payload."""
        self.times.append(at)
        self.metas.append(meta(kind, len(data)))
        self.bodies.append(data)

    def extend(self, other: "Block") -> None:
        """Take what came later, too."""
        self.times += other.times
        self.metas += other.metas
        self.bodies += other.bodies
        self.events += other.events
        self.received += other.received
        self.sent += other.sent
