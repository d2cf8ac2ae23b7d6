"""One connection of the publisher: from the outbox to the stream, until something goes wrong."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import nats.errors
from nats.js.api import Header, PubAck

from portside.app.notices import Notify
from portside.errors import PortsideError
from portside.fleet.broker import BrokerConnection, failure
from portside.fleet.outbox.clock import uptime_s
from portside.fleet.outbox.database import OutboxRow
from portside.fleet.outbox.settling import names_in_stream
from portside.fleet.outbox.store import Outbox, Unwritable
from portside.fleet.outbox.trouble import no_answer, refusal, servers_of
from portside.fleet.subjects import STREAM
from portside.settings.broker import BrokerOptions

T = TypeVar("T")

MOST_BYTES: Final = 4 << 20
"""The most bytes that are sent and not acknowledged."""

_HEADERS_BYTES: Final = 512  # what the server counts beside the data of a message
_DISK_S: Final = 1.0
_LEAST_ASK_S: Final = 1.0
_NEVER: Final = float("inf")
_MOST_AT_ONCE: Final = 64


@dataclass
class PublishCounts:
    """Counts of the messages published since the agent began, and of their records; ``resent`` are in ``sent`` too."""

    sent: int = 0
    sent_records: int = 0
    acknowledged: int = 0
    records: int = 0  # those in acknowledged messages
    bytes: int = 0  # of acknowledged messages
    resent: int = 0
    duplicates: int = 0  # of which the stream had one already
    connections: int = 0


class PublishSession:
    """Publishes over one connection. ``wake`` it when there is something new, or the connection has ended."""

    def __init__(
        self,
        outbox: Outbox,
        broker: BrokerConnection,
        options: BrokerOptions,
        *,
        counts: PublishCounts,
        most_unacked: int,
        most_bytes: int,
        patience_s: float,
        highest: int,
        executor: Executor,
        notify: Notify,
        on_progress: Callable[[], object],
    ) -> None:
        self._outbox, self._broker, self._options, self._counts = outbox, broker, options, counts
        self._most_unacked, self._most_bytes, self._patience_s = most_unacked, most_bytes, patience_s
        self._executor, self._notify, self._on_progress = executor, notify, on_progress
        self.highest = highest
        self.trouble: PortsideError | None = None
        self._woken = asyncio.Event()
        self._unacked: OrderedDict[int, tuple[OutboxRow, float, asyncio.Future[PubAck]]] = OrderedDict()
        self._unacked_bytes = 0
        self._window = 1  # it doubles with what is acknowledged, so that a broker that takes nothing is asked gently
        self._acknowledged: list[int] = []
        self._too_large: list[OutboxRow] = []
        self._most_message = 0
        self._cursor = self._seen = self._last_uncertain = 0
        self._known_s, self._ask_at = 0.0, _NEVER
        self._stream = ""

    def wake(self) -> None:
        """Look again; on the loop's thread."""
        self._woken.set()

    def fail(self, trouble: PortsideError) -> None:
        """End the session because of something that the server has said."""
        self.trouble = self.trouble or trouble
        self._woken.set()

    async def run(self) -> None:
        """Publish until something goes wrong, which is raised as PortsideError."""
        try:
            await self._begin()
            while True:
                self._woken.clear()
                self._check()
                pause = await self._send_more()
                await self._store_acknowledgements()
                if not self._woken.is_set():
                    await self._wait(pause)
        except Unwritable:
            raise PortsideError(servers_of(self._options), "the outbox cannot be read") from None
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise self.trouble or refusal(self._options, error) from None
        finally:
            for _, _, future in self._unacked.values():
                future.cancel()
            await self._store_acknowledgements()

    async def _begin(self) -> None:
        """Learn what the stream is."""
        info = await self._broker.jetstream.stream_info(STREAM)
        created, self._seen = info.created, info.state.last_seq
        self._stream = "" if created is None else created.isoformat()
        most = self._broker.client.max_payload
        if (of_stream := info.config.max_msg_size or -1) > 0:
            most = min(most, of_stream)
        self._most_message = most - _HEADERS_BYTES
        self._known_s = (info.config.duplicate_window or 0.0) / 2
        await self._settle()

    async def _settle(self) -> None:
        """Remove from the outbox what the stream has already, if it is too long ago for ``Nats-Msg-Id`` to tell it."""
        uncertain = await self._apart(self._outbox.uncertain)
        self._last_uncertain, self._ask_at = 0, _NEVER
        if uncertain is None:
            return
        self._last_uncertain, self._ask_at = uncertain.last, uncertain.at + self._known_s
        if uptime_s() < self._ask_at:
            return
        after = uncertain.after if uncertain.stream == self._stream else 0
        sent_at = min((sent_at for _, sent_at, _ in self._unacked.values()), default=uptime_s())
        async for names in names_in_stream(self._broker, after, uncertain.subjects):
            self._counts.acknowledged += await self._apart(partial(self._outbox.acknowledge_named, names))
        with suppress(Unwritable):  # it is asked again, then
            await self._apart(partial(self._outbox.settle, self._seen, self._stream, sent_at))
        self._ask_at = sent_at + max(self._known_s, _LEAST_ASK_S)

    def _check(self) -> None:
        """Raise PortsideError where something is wrong."""
        if self.trouble is not None:
            raise self.trouble
        if not self._broker.client.is_connected:
            raise failure(self._options, self._broker.client.last_error or ConnectionError("the connection is lost"))
        if uptime_s() > self._oldest + self._patience_s:
            raise no_answer(self._options)

    @property
    def _oldest(self) -> float:
        """When the oldest message was sent that is not acknowledged."""
        return next((sent_at for _, sent_at, _ in self._unacked.values()), _NEVER)

    async def _send_more(self) -> float | None:
        """Send what may be sent now; how long to wait at most before another look, None where there is no need."""
        room, room_bytes = self._window - len(self._unacked), self._most_bytes - self._unacked_bytes
        if room > 0 and (room_bytes > 0 or not self._unacked):
            if self._cursor < self._last_uncertain and uptime_s() > self._ask_at:
                await self._settle()
            take = partial(
                self._outbox.take, self._cursor, most=min(room, _MOST_AT_ONCE), most_bytes=room_bytes,
                seen=self._seen, stream=self._stream,
            )  # fmt: skip
            try:
                rows = await self._apart(take)
            except Unwritable:
                return _DISK_S
            for row in rows:
                self._cursor = row.id
                if len(row.data) > self._most_message:
                    self._too_large.append(row)
                else:
                    await self._send(row)
            if rows:
                self._woken.set()  # there may be more
        return max(0.0, self._oldest + self._patience_s - uptime_s()) if self._unacked else None

    async def _send(self, row: OutboxRow) -> None:
        self._check()  # nats-py would keep what is published after the connection has ended
        future = await self._broker.jetstream.publish_async(
            row.subject, row.data, stream=STREAM, headers={Header.MSG_ID.value: row.name}
        )
        self._unacked[row.id] = (row, uptime_s(), future)
        self._unacked_bytes += len(row.data)
        self._counts.sent += 1
        self._counts.sent_records += row.records
        if row.id <= self.highest:
            self._counts.resent += 1
        self.highest = max(self.highest, row.id)
        future.add_done_callback(partial(self._answered, row))

    def _answered(self, row: OutboxRow, future: "asyncio.Future[PubAck]") -> None:
        """The stream has answered a message."""
        if self._unacked.pop(row.id, None) is None or future.cancelled():
            return
        self._unacked_bytes -= len(row.data)
        error = future.exception()
        if error is None:
            answer = future.result()
            self._acknowledged.append(row.id)
            self._seen = max(self._seen, answer.seq)
            self._window = min(self._window + 1 + self._window // 4, self._most_unacked)
            self._counts.acknowledged += 1
            self._counts.records += row.records
            self._counts.bytes += len(row.data)
            self._counts.duplicates += bool(answer.duplicate)
        else:
            self.trouble = self.trouble or refusal(self._options, error)
        self._woken.set()

    async def _store_acknowledgements(self) -> None:
        """Remove from the outbox what needs not be there any more."""
        if self._acknowledged:
            rows, self._acknowledged = self._acknowledged, []
            await self._apart(partial(self._outbox.acknowledge, rows))
            self._on_progress()
        while self._too_large:
            row = self._too_large.pop()
            self._notify(
                f"a message of {len(row.data):,} B is given up, with {row.records} records: the stream takes "
                f"{self._most_message:,} B at most",
                "raise max_payload of the server, and max_msg_size of the stream",
            )
            await self._apart(partial(self._outbox.give_up, row.id))

    async def _wait(self, pause: float | None) -> None:
        try:
            async with asyncio.timeout(pause):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _apart(self, work: Callable[[], T]) -> T:
        """Do something that uses the disk, on the thread for that."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
