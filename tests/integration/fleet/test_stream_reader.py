"""Reading from a real stream: all of it, in pieces, with an end, and again after the consumer was lost."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

import pytest
from fleet_publisher import fleet, publish
from fleet_records import T0, message, opened, socket, status
from nats_server import NatsServer
from support import DEADLINE_S

from portside.fleet.broker import BrokerConnection, connect
from portside.fleet.query import stream as module
from portside.fleet.query.stream import Batch, JetStreamReader, Which
from portside.fleet.schema import Envelope
from portside.settings.broker import BrokerOptions

Answer = TypeVar("Answer")
NODES = Which(("node",))
EVER_S = 1e9


@pytest.fixture
def url(nats: NatsServer) -> str:
    """A server with the stream."""
    assert fleet(nats.url, "init", "--max-bytes", "100M").status == 0
    return nats.url


def reading(url: str, work: Callable[[JetStreamReader, BrokerConnection], Awaitable[Answer]]) -> Answer:
    """Do something with a reader."""

    async def whole() -> Answer:
        broker = await connect(BrokerOptions(nats=(url,)), name="test")
        try:
            return await asyncio.wait_for(work(JetStreamReader(broker), broker), DEADLINE_S)
        finally:
            await broker.close()

    return asyncio.run(whole())


async def taken(batches: AsyncGenerator[Batch, None]) -> tuple[list[int], list[bool]]:
    """The numbers of all messages, and of each piece whether it is the end."""
    numbers, ends = [], []
    async with aclosing(batches):
        async for batch in batches:
            numbers += [each.message.seq for each in batch.messages]
            ends.append(batch.is_end)
    return numbers, ends


def signs(count: int, *, node: str = "web1") -> list[Envelope]:
    return [message("node", status(T0 + seq), node=node, seq=seq) for seq in range(1, count + 1)]


def test_a_name_of_a_run_that_takes_much_memory_is_left_out(url: str) -> None:
    """It would be remembered of each message."""
    publish(url, [*signs(1), message("node", status(), boot="b" * 500_000, seq=2)], numbered=False)

    async def work(reader: JetStreamReader, _: BrokerConnection) -> tuple[list[int], int]:
        numbers, _ends = await taken(reader.history(NODES, EVER_S))
        return numbers, reader.left_out.unreadable

    assert reading(url, work) == ([1], 1)


def test_the_last_of_each_subject(url: str) -> None:
    publish(url, [*signs(5), *signs(3, node="db1"), message("open", opened(socket()), seq=9)])

    async def work(reader: JetStreamReader, _: BrokerConnection) -> tuple[list[int], list[bool]]:
        return await taken(reader.last(NODES))

    numbers, ends = reading(url, work)
    assert sorted(numbers) == [3, 5]
    assert ends[-1]


def test_nothing_is_an_end_too(url: str) -> None:
    async def work(reader: JetStreamReader, _: BrokerConnection) -> tuple[list[int], list[bool]]:
        return await taken(reader.history(NODES, EVER_S))

    assert reading(url, work) == ([], [True])


@pytest.mark.parametrize(("messages", "size"), [(7, 1 << 20), (1000, 3000), (1000, 100)])
def test_more_than_one_request_takes(url: str, messages: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are for some messages and some bytes; one message may be above those, too."""
    monkeypatch.setattr(module, "_BATCH", messages)
    monkeypatch.setattr(module, "_BATCH_BYTES", size)
    publish(url, signs(40))

    async def work(reader: JetStreamReader, _: BrokerConnection) -> tuple[list[int], list[bool]]:
        return await taken(reader.history(NODES, EVER_S))

    numbers, ends = reading(url, work)
    assert numbers == list(range(1, 41))
    assert ends.count(True) == 1
    assert ends[-1]


def test_what_goes_meanwhile_is_no_reason_to_wait(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 10)
    publish(url, signs(40))

    async def work(reader: JetStreamReader, broker: BrokerConnection) -> list[int]:
        numbers: list[int] = []
        async with aclosing(reader.history(NODES, EVER_S)) as batches:
            async for batch in batches:
                numbers += [each.message.seq for each in batch.messages]
                await broker.jetstream.purge_stream("PORTSIDE")
        return numbers

    assert reading(url, work)[:1] == [1]


def test_a_consumer_that_is_deleted_is_made_anew(url: str) -> None:
    publish(url, signs(3))

    async def work(reader: JetStreamReader, broker: BrokerConnection) -> tuple[list[int], int]:
        numbers: list[int] = []
        async with aclosing(reader.history(NODES, EVER_S, follow=True)) as batches:
            async for batch in batches:
                numbers += [each.message.seq for each in batch.messages]
                if numbers == [1, 2, 3]:
                    (info,) = await broker.jetstream.consumers_info("PORTSIDE")
                    await broker.jetstream.delete_consumer("PORTSIDE", info.name)
                    await asyncio.to_thread(publish, url, [signs(4)[3]])
                if 4 in numbers:
                    break
        return numbers, reader.left_out.twice

    assert reading(url, work) == ([1, 2, 3, 4], 0)


def test_what_follows_comes(url: str) -> None:
    publish(url, signs(2))

    async def work(reader: JetStreamReader, _: BrokerConnection) -> list[tuple[list[int], bool]]:
        found = []
        async with aclosing(reader.last(NODES, follow=True)) as batches:
            async for batch in batches:
                found.append(([each.message.seq for each in batch.messages], batch.is_end))
                if len(found) == 1:
                    await asyncio.to_thread(publish, url, [signs(3)[2]])
                else:
                    break
        return found

    assert reading(url, work) == [([2], True), ([3], True)]


def test_what_somebody_else_sends_to_the_inbox_is_left_alone(url: str) -> None:
    publish(url, signs(2))

    async def work(reader: JetStreamReader, broker: BrokerConnection) -> list[int]:
        numbers: list[int] = []
        async with aclosing(reader.history(NODES, EVER_S, follow=True)) as batches:
            async for batch in batches:
                numbers += [each.message.seq for each in batch.messages]
                if numbers == [1, 2]:
                    inbox = next(
                        sub.subject for sub in broker.client._subs.values() if sub._cb and "*" not in sub.subject
                    )
                    for reply in ("", "$JS.ACK.nonsense", "$JS.ACK.a.b.c.d.e.f.g"):
                        await broker.client.publish(inbox, b"\x00", reply=reply)
                    await asyncio.to_thread(publish, url, [signs(3)[2]])
                if 3 in numbers:
                    break
        return numbers

    assert reading(url, work) == [1, 2, 3]


def test_a_site_and_a_node_by_their_whole_names(url: str) -> None:
    publish(url, [*signs(1, node="a.b"), *signs(2, node="a_b")])

    async def work(reader: JetStreamReader, _: BrokerConnection) -> tuple[list[int], list[bool]]:
        return await taken(reader.history(Which(("node",), "paris", "a.b"), EVER_S))

    assert reading(url, work)[0] == [1]
