"""The blocks of one connection read in order: their events, and a Gap where bytes are missing between them."""

from collections.abc import Iterator

from portside.events import Event, Gap, Received, Sent
from portside.record.connection_record import ConnectionRecord
from portside.record.index import Extent
from portside.record.reader import FlushEntries
from portside.record.scan import decode_event
from portside.record.segment import EVENT, RECEIVED, SENT, Damaged, Entry


class ConnectionReader:
    """The state of reading one connection: bytes up to the last block, from which the next shows what is missing."""

    def __init__(self, conn: int) -> None:
        self._conn = conn
        self._received = 0
        self._sent = 0
        self._at = 0
        self.latest = 0  # time of its latest event, for those who sort

    def events(self, peer: str, block: FlushEntries | None, extent: Extent) -> Iterator[Event]:
        """The events of the next block, None where it is damaged; ``peer`` is the address in payload events."""
        if block is None:
            return  # the next one shows how much was in it
        _, entries = block
        events = [self._event(peer, entry) for entry in entries]
        has_gap = any(isinstance(event, Gap) for event in events)
        if not has_gap and (extent.received_before > self._received or extent.sent_before > self._sent):
            yield self._gap(extent.first, extent.received_before, extent.sent_before)
        self._received = extent.received_before + extent.received
        self._sent = extent.sent_before + extent.sent
        self._at = extent.last
        for event in events:
            if event is not None:
                yield event

    def missing_at_end(self, recorded: ConnectionRecord) -> Iterator[Event]:
        """A Gap for the bytes that are missing after the last block, by the sums of the record."""
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
