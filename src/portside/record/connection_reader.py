"""The blocks of one connection read in order: their events, and a Gap where bytes are missing between them."""

from collections.abc import Iterator

from portside.events import Event, Gap, Received, Sent
from portside.record.clock import WallTimes
from portside.record.connection_record import ConnectionRecord
from portside.record.event_entry import decode_event
from portside.record.index import Extent
from portside.record.reader import FlushEntries
from portside.record.segment import EVENT, RECEIVED, SENT, Damaged, Entry


class ConnectionReader:
    """The state of reading one connection: bytes up to the last block, from which the next shows what is missing."""

    def __init__(self, conn: int) -> None:
        self._conn = conn
        self._received = 0
        self._sent = 0
        self._at = self._wall = 0  # steady and wall time of the last entry
        self.latest = 0  # steady time of its latest event, for those who sort

    def events(
        self, peer: str, block: FlushEntries | None, extent: Extent, wall: WallTimes
    ) -> Iterator[tuple[int, Event]]:
        """The events of the next block, None where it is damaged, each with its steady time.

        ``peer`` is the address in payload events, ``wall`` gives the wall times of the segment.
        """
        if block is None:
            return  # the next one shows how much was in it
        _, entries = block
        if wall:
            events = [(entry.at, self._event(peer, entry, wall.of(entry.at))) for entry in entries]
        else:
            events = [(entry.at, self._event(peer, entry, entry.at)) for entry in entries]
        has_gap = any(isinstance(event, Gap) for _, event in events)
        if not has_gap and (extent.received_before > self._received or extent.sent_before > self._sent):
            at = extent.first
            yield at, self._gap(at, wall.of(at), extent.received_before, extent.sent_before)
        self._received = extent.received_before + extent.received
        self._sent = extent.sent_before + extent.sent
        self._at, self._wall = extent.last, wall.of(extent.last)
        for at, event in events:
            if event is not None:
                yield at, event

    def missing_at_end(self, recorded: ConnectionRecord) -> Iterator[tuple[int, Event]]:
        """A Gap for the bytes that are missing after the last block, by the sums of the record."""
        if recorded.received > self._received or (recorded.closed is not None and recorded.sent > self._sent):
            at = self._at
            if recorded.began is not None and recorded.duration is not None:
                at = max(at, recorded.began + round(recorded.duration * 1e9))
            yield at, self._gap(at, recorded.closed or self._wall, recorded.received, recorded.sent)

    def _gap(self, at: int, wall: int, received: int, sent: int) -> Gap:
        lost = max(0, received - self._received), max(0, sent - self._sent)
        duration = max(0, at - self._at) / 1e9 if self._at else 0.0
        return Gap(wall, self._conn, *lost, duration, "damaged or given up")

    def _event(self, peer: str, entry: Entry, at: int) -> Event | None:
        if entry.kind != EVENT and not (self._conn and entry.data):
            return None  # notes, and payload that cannot be
        if entry.kind == RECEIVED:
            return Received(at, self._conn, peer, entry.data)
        if entry.kind == SENT:
            return Sent(at, self._conn, peer, entry.data)
        if entry.kind == EVENT:
            try:
                return decode_event(entry, self._conn, same_time=at == entry.at)
            except Damaged:
                return None
        return None
