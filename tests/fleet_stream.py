"""The stream of a fleet, for tests: made, deleted, read; and a journal, outbox and publisher that run beside a test."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import nats.errors
from nats.js.api import AckPolicy, ConsumerConfig, StorageType
from nats.js.errors import ServiceUnavailableError
from support import DEADLINE_S, wait_until

from portside.errors import Hint
from portside.fleet.broker import BrokerConnection, connect
from portside.fleet.outbox.journal import Journal, new_boot
from portside.fleet.outbox.publisher import Publisher
from portside.fleet.outbox.store import Outbox
from portside.fleet.schema import ConnectionEvent, Envelope, ServerEvent, decode
from portside.fleet.subjects import ALL, STREAM, kind_of
from portside.settings.broker import BrokerOptions

T = TypeVar("T")


def on_broker(url: str, ask: Callable[[BrokerConnection], Awaitable[T]]) -> T:
    """Ask a server something."""

    async def connected() -> T:
        broker = await connect(BrokerOptions(nats=tuple(url.split(","))), name="test")
        try:
            return await ask(broker)
        finally:
            await broker.close()

    return asyncio.run(connected())


def answer_of(url: str, ask: Callable[[BrokerConnection], Awaitable[T]]) -> T:
    """Ask until there is an answer: a cluster whose leader was killed gives none before it has another."""
    answers: list[T] = []

    def is_answered() -> bool:
        try:
            answers.append(on_broker(url, ask))
        except (TimeoutError, nats.errors.TimeoutError, ServiceUnavailableError):
            return False
        return True

    wait_until(is_answered, "an answer of the broker", 2 * DEADLINE_S)
    return answers[0]


def make_stream(url: str, **config: Any) -> None:
    """Make the stream, with files."""

    async def make(broker: BrokerConnection) -> None:
        words = {"name": STREAM, "subjects": [ALL], "storage": StorageType.FILE, **config}
        await broker.jetstream.add_stream(**words)

    on_broker(url, make)


def change_stream(url: str, **config: Any) -> None:
    """Change some of its configuration."""

    async def change(broker: BrokerConnection) -> None:
        info = await broker.jetstream.stream_info(STREAM)
        await broker.jetstream.update_stream(config=info.config.evolve(**config))

    on_broker(url, change)


def delete_stream(url: str) -> None:
    """Delete it with all that is in it."""

    async def delete(broker: BrokerConnection) -> None:
        await broker.jetstream.delete_stream(STREAM)

    on_broker(url, delete)


def messages_in_stream(url: str) -> int:
    """How many messages there are."""

    async def ask(broker: BrokerConnection) -> int:
        return (await broker.jetstream.stream_info(STREAM)).state.messages

    return on_broker(url, ask)


def wait_messages(url: str, count: int) -> None:
    """Wait until there are so many."""
    wait_until(lambda: messages_in_stream(url) == count, f"{count} messages")


def numbers_in_stream(url: str, subject: str = ALL) -> list[int]:
    """The numbers of the records in the stream (``numbered``), in its order."""
    return [record.event["number"] for each in messages_of(url, subject) for record in each.records]


def messages_of(url: str, subject: str = ALL) -> list[Envelope]:
    """The messages in the stream, in its order."""

    async def read(broker: BrokerConnection) -> list[Envelope]:
        config = ConsumerConfig(name="reader", filter_subject=subject, ack_policy=AckPolicy.NONE)
        info = await broker.jetstream.add_consumer(STREAM, config)
        subscription = await broker.jetstream.pull_subscribe_bind("reader", stream=STREAM)
        left, found = info.num_pending or 0, []
        while left > 0:
            messages = await subscription.fetch(min(left, 200), timeout=DEADLINE_S)
            left -= len(messages)
            found += [decode(each.data, kind_of(each.subject)) for each in messages]
        await broker.jetstream.delete_consumer(STREAM, "reader")
        return found

    return answer_of(url, read)


def closed_in_stream(url: str) -> list[tuple[str, ConnectionEvent]]:
    """The connections that have closed, with the node of each."""
    return [(each.node, record) for each in messages_of(url, "portside.*.*.closed") for record in each.records]


def wait_forgotten(url: str) -> None:
    """Wait until JetStream has forgotten the ids of all messages up to now (its ``duplicate_window``)."""

    async def wait(broker: BrokerConnection) -> None:
        async def is_duplicate() -> bool | None:
            headers = {"Nats-Msg-Id": "probe"}
            return (await broker.jetstream.publish("portside.tests.probe.server", b"", headers=headers)).duplicate

        assert not await is_duplicate()
        async with asyncio.timeout(DEADLINE_S):
            while await is_duplicate():
                pass

    on_broker(url, wait)


def leader_of_stream(url: str) -> str:
    """The name of the server that leads the stream, once one does."""

    async def ask(broker: BrokerConnection) -> str:
        cluster = (await broker.jetstream.stream_info(STREAM)).cluster
        return (cluster and cluster.leader) or ""

    leader: str = wait_until(lambda: answer_of(url, ask), "a leader of the stream")
    return leader


def numbered(*numbers: int, text: str = "") -> list[ServerEvent]:
    """Records with numbers."""
    return [ServerEvent(pid=1, event={"number": each, "text": text}) for each in numbers]


class Station:
    """What an agent has without its sources: journal, outbox, and publisher on a loop of its own. ``close`` ends it."""

    def __init__(
        self, folder: Path, url: str, *, most_bytes: int = 64 << 20, node: str = "web1", most_unacked: int = 256
    ) -> None:
        self.said: list[tuple[str, Hint]] = []
        self.outbox = Outbox(str(folder / "outbox"), most_bytes=most_bytes, most_age_s=7 * 86400.0, notify=self._notify)
        self.journal = Journal(self.outbox, site="paris", node=node, boot=new_boot(), notify=self._notify)
        self._options = BrokerOptions(nats=tuple(url.split(",")))
        self._most_unacked, self._node = most_unacked, node
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._is_ready = threading.Event()
        self.made = 0
        self._thread = threading.Thread(target=asyncio.run, args=(self._publish(),))
        self._thread.start()
        assert self._is_ready.wait(DEADLINE_S)

    def _notify(self, words: str, hint: Hint = None) -> None:
        self.said.append((words, hint))

    async def _publish(self) -> None:
        self.publisher = Publisher(
            self.outbox, self._options, name=self._node, notify=self._notify, most_unacked=self._most_unacked
        )
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._is_ready.set()
        try:
            await self.publisher.run()
        except asyncio.CancelledError:
            pass

    def make(self, count: int, text: str = "") -> None:
        """Make so many records with the next numbers."""
        self.journal.add("server", numbered(*range(self.made, self.made + count), text=text))
        self.made += count

    def wait_said(self, words: str) -> Hint:
        """Wait for a notice with these words in it: its hint."""

        def find() -> list[Hint]:
            return [hint for each, hint in self.said if words in each]

        try:
            wait_until(find, f"a notice with {words!r}")
        finally:
            assert find(), self.said
        return find()[0]

    def wait_kept(self) -> None:
        """Wait until all that was made is in the outbox, or has been."""

        def is_kept() -> bool:
            status = self.outbox.status()
            return self.publisher.counts.records + status.records + status.dropped >= self.journal.records

        wait_until(is_kept, "it to be in the outbox")

    def wait_sent(self) -> None:
        """Wait until all that was made is in the outbox, and the outbox is empty."""

        def is_sent() -> bool:
            status = self.outbox.status()
            done = self.publisher.counts.records + status.dropped >= self.journal.records
            return done and self.outbox.is_empty()

        wait_until(is_sent, "all to be acknowledged", 3 * DEADLINE_S)

    def close(self) -> None:
        """End it in order; may be called again."""
        self.journal.close()
        if self._task is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join(DEADLINE_S)
            self._task = None
            self.outbox.close()
