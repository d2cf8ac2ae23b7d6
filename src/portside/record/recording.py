"""Reading a recording: also while it is being written, after a crash, and without write access to its folder."""

import shlex
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import takewhile
from operator import itemgetter
from typing import Literal, Self, get_args

import msgspec

from portside.errors import InvalidValue, PortsideError
from portside.events import Closed, Event, Gap, Received, Sent
from portside.record.clock import WallTimes
from portside.record.connection_reader import ConnectionReader
from portside.record.connection_record import ConnectionRecord
from portside.record.current_index import open_current_index, rebuild_in_memory
from portside.record.folder import Folder
from portside.record.index import Extent, clock_steps
from portside.record.reader import Reader
from portside.record.recovery import Progress, find_recording_id, no_progress
from portside.record.segment import MOST_CONN, checksum_seed
from portside.record.soundness import Row, sound_extents, sound_rows, sound_sums

Direction = Literal["in", "out"]
TimedEvent = tuple[int, Event]  # with its steady time (ns)
_ROWS_AT_ONCE = 500
_MOST_HELD_BYTES = 128 << 20  # of the blocks of a flush whose events are sorted: some times what a recorder collects

_SUMS = (
    "SELECT conn, max(received_before + received), max(sent_before + sent) FROM extents WHERE conn IN "
    "(SELECT conn FROM connections WHERE closed IS NULL) GROUP BY conn"
)
_SUMS_OF = (
    "SELECT conn, max(received_before + received), max(sent_before + sent) FROM extents WHERE conn = ? GROUP BY 1"
)
_RUN_OF = "SELECT dialled FROM runs WHERE base < ? ORDER BY base DESC, run DESC LIMIT 1"


class Recording:
    """The recording in a folder. Close it, or use it in a ``with`` statement.

    ``path`` is the folder that ``--record`` named. ``live`` is True while a server writes the recording, and ``found``
    is damage that was not known before. Where the index on disk is not sound, one is made in memory from the segments:
    ``why_rebuilt`` says why, None if that was not needed, and ``on_rebuilt`` is called with that as soon as it shows.
    While the index is brought up to date, ``progress`` is called with the number of bytes read and the total.

    Raises PortsideError where there is no recording, or none that this version can read.

    >>> with portside.Recording("DIR") as recording:
    ...     for connection in recording.connections():
    ...         print(connection.conn, connection.reason, connection.received)
    ...     print(b"".join(recording.data(1, "in")))
    1 peer_closed 6
    b'hello\\n'
    """

    def __init__(
        self, path: str, progress: Progress = no_progress, on_rebuilt: Callable[[str], None] = lambda _why: None
    ) -> None:
        self.path = path
        self.folder = folder = Folder(path)
        try:
            self._index, self.live, self.found, self.why_rebuilt = open_current_index(folder, progress)
            recording_id = find_recording_id(folder, self._index)
        except sqlite3.Error as error:
            raise self._unreadable(error) from None
        if recording_id is None:
            self._index.close()
            raise PortsideError(f"recording {path}", "nothing in it can be read")
        self._on_rebuilt = on_rebuilt
        if self.why_rebuilt is not None:
            on_rebuilt(self.why_rebuilt)
        self._unsound_index: sqlite3.Connection | None = None
        self._reader = Reader(folder, checksum_seed(recording_id))
        self._wall_times_of = 0, WallTimes(())  # a segment, and the times in it

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the index and the open segment."""
        self._index.close()
        if self._unsound_index is not None:
            self._unsound_index.close()
        self._reader.close()

    # The index.

    def _unreadable(self, error: Exception) -> PortsideError:
        why = f"its index cannot be read: {error}"
        return PortsideError(f"recording {self.path}", why, f"portside rec check {shlex.quote(self.path)}")

    def _rows(self, table: str, rest: str, *parameters: int) -> list[Row]:
        """Rows of a table of the index; where a value cannot be, those of an index that is rebuilt in memory."""
        return self._sound(lambda: sound_rows(self._index, table, rest, *parameters))

    def _sums(self, query: str, *parameters: int) -> list[tuple[int, ...]]:
        return self._sound(lambda: sound_sums(self._index, query, *parameters))

    def _sound(self, read: Callable[[], list[Row]]) -> list[Row]:
        """Read from the index, or from a rebuilt one where the one on disk is not sound.

        Raises PortsideError where that is no way out.
        """
        try:
            return read()
        except sqlite3.Error as error:
            if self.live or self._unsound_index is not None or isinstance(error, sqlite3.OperationalError):
                raise self._unreadable(error) from None
            self._rebuild(error)
        try:
            return read()
        except sqlite3.Error as error:
            raise self._unreadable(error) from None

    def _rebuild(self, why: sqlite3.Error) -> None:
        try:
            rebuilt = rebuild_in_memory(self.folder, str(why), no_progress)
        except sqlite3.Error as failure:
            raise self._unreadable(failure) from None
        self._unsound_index, self._index = self._index, rebuilt.database
        self.why_rebuilt = str(why)
        self.found += rebuilt.found
        self._on_rebuilt(self.why_rebuilt)

    # Connections.

    def connections(self) -> Iterator[ConnectionRecord]:
        """All connections, in the order of their numbers."""
        base, after = self._current_base(), 0
        sums, index = self._sums_of_open(), self._index
        while rows := self._rows("connections", "WHERE conn > ? ORDER BY conn LIMIT ?", after, _ROWS_AT_ONCE):
            if index is not self._index:
                sums, index = self._sums_of_open(), self._index
            for row in rows:
                yield self._make_record(row, sums, base)
            self._require_progress(after < rows[-1][0])
            after = rows[-1][0]

    def connection(self, conn: int) -> ConnectionRecord:
        """The connection with a number. Raises PortsideError where there is none."""
        if not 0 <= conn <= MOST_CONN:
            raise PortsideError(f"connection {conn}", "there can be none of this number")
        rows = self._rows("connections", "WHERE conn = ?", conn)
        if not rows:
            raise PortsideError(
                f"connection {conn}", f"it is not in {self.path}", f"portside rec list {shlex.quote(self.path)}"
            )
        return self._make_record(rows[0], self._sums_of_open(conn), self._current_base())

    def _make_record(self, row: Row, sums: dict[int, tuple[int, int]], base: int) -> ConnectionRecord:
        record = ConnectionRecord(*row)
        if record.began is None and record.opened is not None:
            record = msgspec.structs.replace(record, began=record.opened)
        if record.closed is not None and record.received is not None and record.sent is not None:
            return record
        received, sent = sums.get(record.conn, (0, 0))
        goes_on = self.live and record.conn > base
        return msgspec.structs.replace(record, received=received, sent=sent, open=goes_on)

    def _current_base(self) -> int:
        row = self._index.execute("SELECT base FROM runs ORDER BY run DESC LIMIT 1").fetchone()
        return int(row[0]) if row is not None else 0

    def _sums_of_open(self, conn: int = 0) -> dict[int, tuple[int, int]]:
        """Bytes in and out, up to now, of the connections without a closing; with ``conn``, of that one."""
        rows = self._sums(_SUMS_OF, conn) if conn else self._sums(_SUMS)
        return {number: (received, sent) for number, received, sent in rows}

    # Events and bytes.

    def events(self, conn: int) -> Iterator[Event]:
        """All events of a connection, in order; a Gap where bytes are missing.

        Raises PortsideError where there is no such connection.
        """
        return map(itemgetter(1), self.timed_events(conn))

    def timed_events(self, conn: int) -> Iterator[TimedEvent]:
        """As ``events``, each with its steady time (ns), from which intervals count: the wall clock may be set."""
        record = self.connection(conn)
        reader = ConnectionReader(conn)
        for extent in self._extents(conn):
            yield from reader.events(record.peer or "", self._reader.block(extent), extent, self._wall_times(extent))
        yield from reader.missing_at_end(record)

    def follow(self, conn: int, wait: Callable[[], None]) -> Iterator[TimedEvent]:
        """As ``timed_events``, until the connection closes or its run ends.

        ``wait`` is called before each look for more.
        """
        record = self.connection(conn)
        reader, after = ConnectionReader(conn), (0, 0)
        while True:
            written = self.folder.is_written() and conn > self._current_base()
            goes_on = written and self.connection(conn).closed is None
            for extent in self._extents(conn, after):
                block, wall = self._reader.block(extent), self._wall_times(extent)
                yield from reader.events(record.peer or "", block, extent, wall)
                after = extent.segment, extent.offset
            if not goes_on:
                yield from reader.missing_at_end(self.connection(conn))
                return
            wait()

    def data(self, conn: int, direction: Direction) -> Iterator[bytes | Gap]:
        """The bytes of one direction in pieces, and a Gap where some are missing: ``in`` came from the peer.

        Raises as ``events``, and InvalidValue for another direction than ``in`` and ``out``.
        """
        if direction not in get_args(Direction):
            raise InvalidValue(f"{direction!r} is no direction: write in (from the peer) or out (to the peer)")
        return self._data(conn, direction)

    def _data(self, conn: int, direction: Direction) -> Iterator[bytes | Gap]:
        kind = Received if direction == "in" else Sent
        # Bytes that were sent to the kernel but never left do not count as sent.
        left = self.connection(conn).sent if direction == "out" else None
        for event in self.events(conn):
            if isinstance(event, Gap):
                if missing_bytes(event, direction):
                    yield event
                if left is not None:
                    left = max(0, left - event.sent)
            elif type(event) is kind:
                data = event.data if left is None else event.data[:left]
                if left is not None:
                    left -= len(data)
                if data:
                    yield data

    def all_events(self, progress: Progress = no_progress) -> Iterator[Event]:
        """All events up to now by their times; those of one connection always in the order in which they happened.

        Gaps at the ends of connections come last. ``progress`` is called with bytes done and in all.
        """
        return map(itemgetter(1), self.all_timed_events(progress))

    def all_timed_events(self, progress: Progress = no_progress) -> Iterator[TimedEvent]:
        """As ``all_events``, each with its steady time (ns), by which they are in order."""
        peers: dict[int, str] = {}
        readers: dict[int, ConnectionReader] = {}
        ((whole,),) = self._sums("SELECT coalesce(sum(length), 0) FROM extents")
        last = self._rows("extents", "ORDER BY segment DESC, offset DESC LIMIT 1")
        end = last[0][:2] if last else None
        done, held, flush = 0, 0, None
        waiting: list[TimedEvent] = []
        for extent in self._extents_until(end):
            block = self._reader.block(extent)
            this = (extent.segment, block[0]) if block is not None else None  # each run counts its flushes from 1
            if this is None or this != flush or held > _MOST_HELD_BYTES:
                yield from _in_order(waiting)
                waiting, held, flush = [], 0, this
            conn = extent.conn
            if conn not in readers:
                readers[conn] = ConnectionReader(conn)
                peers[conn] = self._peer(conn)
            reader, event = readers[conn], None
            for at, event in reader.events(peers[conn], block, extent, self._wall_times(extent)):
                reader.latest = max(reader.latest, at)
                waiting.append((reader.latest, event))
            if isinstance(event, Closed):
                del readers[conn], peers[conn]
            held += extent.length
            done += extent.length
            progress(done, whole)
        yield from _in_order(waiting)
        if not self.live:  # or more may have come since
            for conn, reader in readers.items():
                if conn:
                    yield from reader.missing_at_end(self.connection(conn))

    def is_outbound(self, conn: int) -> bool:
        """Whether the connection was opened from this side: a client recorded it."""
        run = self._index.execute(_RUN_OF, (conn,)).fetchone()
        return run is not None and bool(run[0])

    def _wall_times(self, extent: Extent) -> WallTimes:
        """The wall times in the segment of an extent, kept for the next one: most are in the same segment."""
        if self._wall_times_of[0] != extent.segment or self.live:
            self._wall_times_of = extent.segment, WallTimes(clock_steps(self._index, extent.segment))
        return self._wall_times_of[1]

    def _peer(self, conn: int) -> str:
        """The peer in payload events: a label, for which a whole row need not be sound."""
        with suppress(sqlite3.Error):
            row = self._index.execute("SELECT peer FROM connections WHERE conn = ?", (conn,)).fetchone()
            if row is not None and isinstance(row[0], str):
                return row[0]
        return ""

    def _extents(self, conn: int, after: tuple[int, int] = (0, 0)) -> Iterator[Extent]:
        return self._paged("AND conn = ? ", (conn,), after)

    def _extents_until(self, end: tuple[int, int] | None) -> Iterator[Extent]:
        """Extents up to ``end`` (segment, offset), so that reading ends even while a server keeps writing."""
        return takewhile(lambda extent: end is not None and extent[:2] <= end, self._paged("", (), (0, 0)))

    def _paged(self, which: str, parameters: tuple[int, ...], after: tuple[int, int]) -> Iterator[Extent]:
        """Rows in pages: an open cursor would keep the writer's WAL from being checkpointed."""
        rest = f"WHERE (segment, offset) > (?, ?) {which}ORDER BY segment, offset LIMIT ?"
        end = after

        def read() -> list[Row]:
            return sound_extents(self._index, rest, end, *after, *parameters, _ROWS_AT_ONCE)

        while rows := self._sound(read):
            for row in rows:
                yield Extent(*row)
            self._require_progress(after < rows[-1][:2])
            segment, offset, length, *_ = rows[-1]
            after, end = (segment, offset), (segment, offset + length)

    def _require_progress(self, progress: bool) -> None:  # noqa: FBT001
        """Check that the last row of a page is behind that of the page before."""
        if not progress:
            raise self._unreadable(sqlite3.DatabaseError("its pages contradict each other"))


def missing_bytes(gap: Gap, direction: Direction) -> int:
    """The bytes of one direction that are missing in a gap."""
    return gap.received if direction == "in" else gap.sent


def steady_events(timed: Iterator[TimedEvent]) -> Iterator[Event]:
    """The events with their steady times in place of those of the wall clock."""
    for at, event in timed:
        yield event if event.at == at else msgspec.structs.replace(event, at=at)


def _in_order(timed: list[TimedEvent]) -> Iterator[TimedEvent]:
    """Events sorted by time; the order of those with equal times is kept."""
    timed.sort(key=itemgetter(0))
    return iter(timed)
