"""What blocks tell of a connection, and what of it is missing between them."""

from collections.abc import Iterator

from portside.events import Event, Gap, Received, Sent
from portside.record.connection_record import ConnectionRecord
from portside.record.index import Extent
from portside.record.reader import FlushEntries
from portside.record.scan import decode_event
from portside.record.segment import EVENT, RECEIVED, SENT, Damaged, Entry


class ConnectionReader:
    """One connection read block by block: entries as events, and what is missing between them."""

    def __init__(self, conn: int) -> None:
        self._conn = conn
        self._received = 0
        self._sent = 0
        self._at = 0
        self.latest = 0  # time of its latest event, for those who sort

    def events(self, peer: str, block: FlushEntries | None, extent: Extent) -> Iterator[Event]:
        """The events of the next block; ``peer`` is what payload says of whom it is."""
        if block is None:
            return  # the next one shows how much was in it
        _, entries = block
        events = [self._event(peer, entry) for entry in entries]
        told = any(isinstance(event, Gap) for event in events)
        if not told and (extent.received_before > self._received or extent.sent_before > self._sent):
            yield self._gap(extent.first, extent.received_before, extent.sent_before)
        self._received = extent.received_before + extent.received
        self._sent = extent.sent_before + extent.sent
        self._at = extent.last
        for event in events:
            if event is not None:
                yield event

    def missing_at_end(self, recorded: ConnectionRecord) -> Iterator[Event]:
        """What the sums say is missing after the last block."""
        if recorded.received > self._received or (recorded.closed is not None and recorded.sent > self._sent):
            yield self._gap(recorded.closed or self._at, recorded.received, recorded.sent)

    def _gap(self, at: int, received: int, sent: int) -> Gap:
        lost = max(0, received - self._received), max(0, sent - self._sent)
        duration = max(0, at - self._at) / 1e9 if self._at else 0.0
        return Gap(at, self._conn, *lost, duration, "damaged or given up")

    def _event(self, peer: str, entry: Entry) -> Event | None:
        if entry.kind == RECEIVED:
            return Received(entry.at, self._conn, peer, entry.data)
        if entry.kind == SENT:
            return Sent(entry.at, self._conn, peer, entry.data)
        if entry.kind == EVENT:
            try:
                return decode_event(entry)
            except Damaged:
                return None
        return None
