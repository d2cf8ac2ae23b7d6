"""The outbox: messages on disk until they are acknowledged, bounded by bytes and by age."""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, TypeVar

from portside.app.notices import Notify
from portside.errors import PortsideError, reason_of
from portside.fleet.outbox.clock import OutboxClock, uptime_s
from portside.fleet.outbox.database import Amount, Database, OutboxRow, Outgoing, Sending, cost, is_damage
from portside.fleet.outbox.folder import OutboxFolder
from portside.fleet.schema import OutboxStatus

T = TypeVar("T")

_NEVER: Final = float("-inf")
_AGAIN_S: Final = 60.0


class Uncertain(NamedTuple):
    """Messages that the stream may have: those with these subjects, up to the row ``last``, behind ``after`` in it.

    ``stream`` is when it was made, None where they were sent to several; then any message of it may be one of them.
    ``at`` is when the first of them was first sent (``uptime_s``), -inf where that was in an earlier run.
    """

    last: int
    after: int
    stream: str | None
    at: float
    subjects: list[str]


class Unwritable(Exception):
    """The disk takes nothing now; it has been said. What was to be done has to be tried again later."""


class Outbox:
    """The messages that wait, oldest first. Every method may be called from any thread.

    What goes beyond ``most_bytes`` or ``most_age_s`` is given up, the oldest first, and its records are counted; but
    not messages that were sent and are not acknowledged, as long as there are others: they may be in the stream.
    ``on_stored`` is called, on the thread that stored, whenever there is something new. ``notify`` is called from any
    thread, and must not use the outbox. Raises PortsideError where the folder cannot be used.
    """

    def __init__(self, folder: str, *, most_bytes: int, most_age_s: float, notify: Notify) -> None:
        self._folder = OutboxFolder(folder)
        self.most_bytes, self._most_age_s, self._notify = most_bytes, most_age_s, notify
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._amount, self._last, self._dropped = Amount(), 0, 0
        self._unsettled = 0  # rows up to this one may have been sent by an earlier run, noted or not
        self._is_unwritable, self._said_at = False, _NEVER
        self._gone: set[int] = set()  # acknowledged, and not removed yet
        self._positions: dict[str, int] = {}  # of this run, for a database that takes the place of this one
        self._has_positions = True  # whether the database has them
        self.on_stored: Callable[[], object] = lambda: None
        try:
            try:
                self._open()
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                self._begin_anew(error)
        except (OSError, sqlite3.Error) as error:
            self._folder.close()
            raise PortsideError(f"outbox {folder}", error) from None
        except PortsideError:
            self._folder.close()
            raise

    def _open(self) -> Database:
        self._folder.make_file()
        database = Database(self._folder.database)
        try:
            self._clock = OutboxClock(database)
            self._amount = database.amount()
            self._last = max(self._last, database.last_row())
            self._sendings = database.sendings()
            self._unsettled = self._last
        except BaseException:
            database.close()
            raise
        self._database = database
        return database

    def _begin_anew(self, error: sqlite3.Error) -> None:
        """Set a damaged database aside, and begin another. Raises OSError and sqlite3.Error."""
        aside = self._folder.set_aside()
        self._notify(f"the outbox is damaged: {reason_of(error)}", f"it is in {aside} now; a new one has begun")
        self._open()

    def close(self) -> None:
        """Close it, and let another agent have it."""
        with self._lock:
            if self._database is not None:
                self._database.close()
            self._folder.close()

    def put(self, messages: Sequence[Outgoing]) -> None:
        """Keep messages and positions, in one transaction: they are safe when it returns. Raises Unwritable."""
        size = sum(cost(len(each.data)) for each in messages)

        def insert(database: Database) -> Amount:
            now = self._clock.now_s()
            with database.transaction():
                if not self._has_positions:
                    database.save_positions(self._positions)
                database.insert(self._last + 1, messages, now)
                beyond = self._amount.bytes + size - self.most_bytes
                return database.remove_oldest(self._sent, max(0, beyond), now - self._most_age_s)

        with self._lock:
            given_up = self._do(insert)
            if self._is_unwritable:
                self._is_unwritable = False
                self._notify(f"the outbox {self._folder.path} can be written again", None)
                self._said_at = uptime_s()
            self._last += len(messages)
            self._has_positions = True
            for each in messages:
                self._positions.update(each.positions)
            self._add(Amount(len(messages), sum(each.records for each in messages), size))
            self._subtract(given_up)
            self._dropped += given_up.records
            if self._amount.bytes > self.most_bytes:  # all others are sent: they go as well
                with suppress(Unwritable):  # they go with the next; what was to be kept is kept
                    given_up = self._remove(lambda database: database.remove_oldest(0, self._excess, _NEVER))
                    self._dropped += given_up.records
        self.on_stored()

    def positions(self) -> dict[str, int]:
        """How far each source has been read, by its name: to where its records were put here."""
        with self._lock, suppress(Unwritable):  # it has been said, and sources are read from now on
            self._positions = self._do(Database.positions)
        return dict(self._positions)

    def take(self, after: int, *, most: int, most_bytes: int, seen: int, stream: str) -> list[OutboxRow]:
        """The next messages behind a row, to be sent now: from here on they count as sent.

        ``seen`` is how many messages the stream has had, at least, and ``stream`` is when it was made. A full disk does
        not take that note; the one before is good enough. Raises Unwritable.
        """

        def read(database: Database) -> list[OutboxRow]:
            found = database.read(after, most, most_bytes)
            while found and not (wanted := [each for each in found if each.id not in self._gone]):
                found = database.read(found[-1].id, most, most_bytes)
            found = found and wanted
            if found and found[-1].id > self._sent:
                sending = Sending(found[-1].id, seen, stream, uptime_s())
                try:
                    with database.transaction():
                        database.mark(sending)
                except sqlite3.Error as error:
                    if is_damage(error):
                        raise
                self._sendings.append(sending)
            return found

        with self._lock:
            return self._do(read)

    def acknowledge(self, rows: Iterable[int]) -> None:
        """Remove messages that the stream has; where the disk is full, that is made up for later."""
        with self._lock:
            self._acknowledge(rows)

    def acknowledge_named(self, names: Iterable[str]) -> int:
        """Remove messages by their ``Nats-Msg-Id``: how many they were. Raises Unwritable."""
        with self._lock:
            rows = self._do(lambda database: database.rows_named(names))
            self._acknowledge(rows)
            return len(rows)

    def _acknowledge(self, rows: Iterable[int]) -> None:
        self._gone.update(rows)
        try:
            self._remove(lambda database: database.remove(self._gone))
        except Unwritable:
            if len(self._gone) < self._amount.messages:
                return
            self._start_over()
        self._gone.clear()

    def _start_over(self) -> None:
        """Begin a new database in the place of one that a full disk takes no removals of, and that is all sent."""

        def renew(database: Database) -> None:
            database.close()
            self._database = None
            self._folder.remove_file()
            newest = self._sendings[-1]
            self._has_positions = False
            self._open().mark(newest)
            self._sendings = [newest]

        with suppress(Unwritable):
            self._do(renew)

    def give_up(self, row: int) -> None:
        """Remove a message that no stream will ever take; its records count as dropped. Raises Unwritable."""
        with self._lock:
            self._dropped += self._remove(lambda database: database.remove((row,))).records

    def uncertain(self) -> Uncertain | None:
        """The messages that the stream may have, since they were sent and not acknowledged; None: there are none.

        Raises Unwritable.
        """

        def look(database: Database) -> Uncertain | None:
            first, last = database.first_row(), max(self._sent, self._unsettled)
            if first is None or first > last:
                return None
            sendings = [each for each in self._sendings if each.last >= first] or self._sendings[-1:]
            streams = {each.stream for each in sendings}
            stream = streams.pop() if len(streams) == 1 else None
            after, at = min(each.after for each in sendings), min(each.at for each in sendings)
            return Uncertain(last, after, stream, at, database.subjects(last))

        with self._lock:
            return self._do(look)

    def settle(self, after: int, stream: str, at: float) -> None:
        """Note that none of those that are left was in the stream when it had had ``after`` messages.

        ``at`` is when those that are on their way now were sent. Raises Unwritable.
        """
        sending = Sending(self._sent, after, stream, at)

        def note(database: Database) -> None:
            with database.transaction():
                database.forget_sendings(sending.last)
                database.mark(sending)

        with self._lock:
            self._do(note)
            self._sendings, self._unsettled = [sending], 0

    def count_dropped(self, records: int) -> None:
        """Count records that were given up before they came here."""
        with self._lock:
            self._dropped += records

    def is_empty(self) -> bool:
        """Whether nothing waits."""
        with self._lock:
            return self._amount.messages <= len(self._gone)

    def status(self) -> OutboxStatus:
        """The contents of the outbox now."""
        with self._lock:
            try:
                oldest = self._do(Database.oldest_clock)
            except Unwritable:
                oldest = None
            return OutboxStatus(
                records=self._amount.records,
                bytes=self._amount.bytes,
                oldest_s=None if oldest is None else max(0.0, self._clock.now_s() - oldest),
                dropped=self._dropped,
            )

    @property
    def _sent(self) -> int:
        """The last row that may be in the stream."""
        return self._sendings[-1].last if self._sendings else 0

    @property
    def _excess(self) -> int:
        return self._amount.bytes - self.most_bytes

    def _remove(self, remove: Callable[[Database], Amount]) -> Amount:
        """Remove something, and the notes on sendings that only concerned that."""

        def both(database: Database) -> tuple[Amount, int]:
            with database.transaction():
                removed = remove(database)
                first = database.first_row() or self._last + 1
                database.forget_sendings(first)
            if first > self._last:
                _shrink(database)
            return removed, first

        removed, first = self._do(both)
        self._subtract(removed)
        self._sendings = [each for each in self._sendings[:-1] if each.last >= first] + self._sendings[-1:]
        return removed

    def _add(self, more: Amount) -> None:
        self._amount = Amount(*(one + other for one, other in zip(self._amount, more, strict=True)))

    def _subtract(self, less: Amount) -> None:
        self._amount = Amount(*(one - other for one, other in zip(self._amount, less, strict=True)))

    def _do(self, work: Callable[[Database], T]) -> T:
        """Do something with the database. Raises Unwritable, after it has said why."""
        try:
            return work(self._database or self._open())
        except sqlite3.Error as error:
            try:
                if is_damage(error):
                    self._leave_damaged(error)
                else:
                    self._say(error)
            except (OSError, sqlite3.Error) as another:
                self._say(another)
        except OSError as error:
            self._say(error)
        raise Unwritable

    def _leave_damaged(self, error: sqlite3.Error) -> None:
        """Begin anew; what was in the damaged database is counted as dropped. Raises OSError and sqlite3.Error."""
        if self._database is not None:
            self._database.close()
            self._database = None
        self._dropped += self._amount.records
        self._amount, self._sendings = Amount(), []
        self._gone.clear()
        self._has_positions = False
        self._begin_anew(error)

    def _say(self, error: OSError | sqlite3.Error) -> None:
        if not self._is_unwritable and uptime_s() - self._said_at >= _AGAIN_S:
            self._is_unwritable = True
            self._notify(
                f"cannot write the outbox {self._folder.path}: {reason_of(error)}",
                "the newest records wait in memory; what has no room there is counted",
            )


def _shrink(database: Database) -> None:
    """Give back what an empty database takes; a full disk does not take even that, and it need not be now."""
    try:
        database.shrink()
    except sqlite3.Error as error:
        if is_damage(error):
            raise
