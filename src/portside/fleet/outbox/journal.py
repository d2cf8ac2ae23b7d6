"""The journal of an agent: it numbers the records, makes messages of them, and has the outbox keep these."""

import secrets
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from portside.app.notices import Notify
from portside.fleet.outbox.database import NO_POSITIONS, Outgoing
from portside.fleet.outbox.store import Outbox, Unwritable
from portside.fleet.schema import MOST_MESSAGE_BYTES, VERSION, Envelope, Kind, Record, encode, message_id
from portside.fleet.subjects import subject
from portside.json_text import encode_json

GATHER_S = 0.1
"""How long records of one kind are gathered for a message."""

_GATHER_BYTES: Final = 256 << 10
_STORED_BYTES: Final = 512 << 10  # in one transaction, where nothing belongs together
_MOST_BYTES: Final = 8 << 20  # that wait in memory
_HEAD_BYTES: Final = 2048  # of a message, beside its records
_EACH_BYTES: Final = 1  # a comma between two of them
_AT_ONCE: Final[frozenset[Kind]] = frozenset({"node", "findings", "open"})
_RETRY_S: Final = 1.0

_pack = msgspec.msgpack.Encoder().encode


def new_boot() -> str:
    """A name for one run of an agent, which no other run has."""
    return secrets.token_hex(8)


class Journal:
    """Makes messages in the outbox of what sources ``add``, on a thread of its own. ``close`` ends it.

    Records are kept in memory for a tenth of a second, and as long as the disk takes none: then up to 8 MiB of them.
    """

    def __init__(self, outbox: Outbox, *, site: str, node: str, boot: str, notify: Notify, json: bool = False) -> None:
        self._outbox, self._site, self._node, self._boot = outbox, site, node, boot
        self._notify, self._json = notify, json
        self._changed = threading.Condition()
        self._gathered: dict[Kind, list[bytes]] = {}
        self._gathered_bytes = 0
        self._positions: dict[str, int] = {}
        self._is_urgent = self._is_closed = self._has_said = False
        self._made = self._numbered = self._stored = 0
        self._messages: deque[Outgoing] = deque()  # those that the disk has not taken; of the thread alone
        self._waiting_bytes = 0
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def records(self) -> int:
        """How many records it was given."""
        return self._made

    def add(self, kind: Kind, records: Sequence[Record], positions: Mapping[str, int] = NO_POSITIONS, /) -> None:
        """Take records of a kind; from any thread. Those for which there is no room are counted as dropped.

        ``positions`` say how far their sources have been read: they are in the outbox as soon as the records are.
        """
        encoded = [each for each in map(self._encode, records) if each is not None]
        size = sum(map(len, encoded))
        with self._changed:
            self._made += len(records)
            is_full = self._gathered_bytes + size + self._waiting_bytes > _MOST_BYTES and self._gathered_bytes > 0
            dropped = len(records) - (0 if is_full else len(encoded))
            self._numbered += dropped
            self._positions.update(positions)
            if not is_full and encoded:
                is_first = not self._gathered
                self._gathered.setdefault(kind, []).extend(encoded)
                self._gathered_bytes += size
                self._is_urgent = self._is_urgent or kind in _AT_ONCE or self._gathered_bytes >= _GATHER_BYTES
                if is_first or self._is_urgent:
                    self._changed.notify()
        if dropped:
            self._outbox.count_dropped(dropped)

    def close(self) -> None:
        """End it; what it was given before is in the outbox, where the disk takes it. May be called again."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _encode(self, record: Record) -> bytes | None:
        """A record as bytes; None for one that is too large or cannot be written, which is said once."""
        try:
            if self._json:
                encoded = encode_json(record)
            else:
                try:
                    encoded = _pack(record)
                except UnicodeEncodeError:  # a byte of a name that is no text
                    encoded = _pack(msgspec.json.decode(encode_json(record)))
            if len(encoded) <= MOST_MESSAGE_BYTES - _HEAD_BYTES:
                return encoded
            why = f"it has {len(encoded):,} bytes, and a message {MOST_MESSAGE_BYTES:,} at most"
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            why = str(error)
        if not self._has_said:
            self._has_said = True
            self._notify(f"a record ({type(record).__name__}) is left out: {why}", "more of them are counted alone")
        return None

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._gathered and not self._is_closed:
                    self._changed.wait(_RETRY_S if self._messages else None)
                if self._gathered and not self._is_urgent and not self._is_closed:
                    self._changed.wait_for(lambda: self._is_urgent or self._is_closed, GATHER_S)
                gathered, self._gathered, self._is_urgent = self._gathered, {}, False
                self._waiting_bytes += self._gathered_bytes
                self._gathered_bytes = 0
                is_closed = self._is_closed
                positions, self._positions = self._positions, {}
            for kind, records in gathered.items():
                self._messages.extend(self._messages_of(kind, records))
            if positions:
                self._note_positions(positions)
            self._store()
            if is_closed:
                self._outbox.count_dropped(sum(each.records for each in self._messages))
                return

    def _note_positions(self, positions: dict[str, int]) -> None:
        """Have them kept with the last message; without one they go with the next."""
        if self._messages:
            last = self._messages.pop()
            self._messages.append(last._replace(positions={**last.positions, **positions}))
        else:
            with self._changed:
                self._positions = {**positions, **self._positions}

    def _messages_of(self, kind: Kind, records: list[bytes]) -> list[Outgoing]:
        """Messages with these records, each below the bound of a message."""
        made: list[Outgoing] = []
        some: list[bytes] = []
        size = 0
        for each in records:
            if some and size + len(each) > _GATHER_BYTES:
                made.append(self._message(kind, some))
                some, size = [], 0
            some.append(each)
            size += len(each) + _EACH_BYTES
        made.append(self._message(kind, some))
        return made

    def _message(self, kind: Kind, records: list[bytes]) -> Outgoing:
        with self._changed:
            seq = self._numbered + 1
            self._numbered += len(records)
        message = Envelope(
            v=VERSION,
            kind=kind,
            site=self._site,
            node=self._node,
            boot=self._boot,
            seq=seq,
            at=datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            records=[msgspec.Raw(each) for each in records],
        )
        name = message_id(self._node, self._boot, seq)
        return Outgoing(name, subject(self._site, self._node, kind), len(records), encode(message, json=self._json))

    def _store(self) -> None:
        """Have the outbox keep what waits; where the disk takes nothing, what is beyond the bound is dropped.

        Messages before one that has positions are kept together with it: they may have records of the same source.
        """
        try:
            while self._messages:
                some: list[Outgoing] = []
                size = 0
                marked = max((nth for nth, each in enumerate(self._messages) if each.positions), default=-1)
                for nth, each in enumerate(self._messages):
                    size += len(each.data)
                    if some and size > _STORED_BYTES and nth > marked:
                        break
                    some.append(each)
                self._outbox.put(some)
                for _ in some:
                    self._messages.popleft()
                self._count_waiting()
        except Unwritable:
            self._drop_oldest()
            self._count_waiting()

    def _count_waiting(self) -> None:
        with self._changed:
            self._waiting_bytes = sum(len(each.data) for each in self._messages)

    def _drop_oldest(self) -> None:
        size, dropped = sum(len(each.data) for each in self._messages), 0
        while size > _MOST_BYTES // 2:  # the other half is for what comes
            oldest = self._messages.popleft()
            size -= len(oldest.data)
            dropped += oldest.records
        self._outbox.count_dropped(dropped)
