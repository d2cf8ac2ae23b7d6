"""A handler's ways of reading take from one stream: nothing is lost, doubled or out of order, however mixed."""

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.behaviours.connection import HIGH_BYTES, Connection
from portside.server.leg import Hold

if TYPE_CHECKING:
    from portside.server.connection import Connection as ServerConnection


class Peer:
    """What a handler connection uses of the server's connection."""

    number, peer, sent = 1, "127.0.0.1:1", 0
    info = SimpleNamespace(local="127.0.0.1:2", tls=None)

    def __init__(self) -> None:
        self.paused = False

    def pause_reading(self, hold: Hold) -> None:
        self.paused = True

    def resume_reading(self, hold: Hold) -> None:
        self.paused = False


def make_connection(peer: Peer) -> Connection:
    loop = asyncio.get_running_loop()
    return Connection(cast("ServerConnection", peer), loop, loop)


FRAMES = ("fixed:3", "fixed:1", "delim:62", "length:u8", "length:u8@1-1", "lines", "idle:60")
WAYS = st.one_of(
    st.tuples(st.just("receive"), st.integers(1, 6)),
    st.tuples(st.just("lines"), st.integers(1, 3)),
    st.tuples(st.sampled_from(FRAMES), st.integers(1, 3)),
)


async def take(connection: Connection, way: str, number: int) -> list[bytes]:
    """Read in one way: so many bytes at most, or messages."""
    if way == "receive":
        return [await connection.receive(number)]
    taken = []
    messages = connection.lines() if way == "lines" else connection.frames(way)
    async for message in messages:
        taken.append(message)
        if len(taken) == number:
            break
    return taken


@given(
    st.lists(st.sampled_from([b"a", b"b", b"\n", b"\0", b"\2", b"ab\n"]), max_size=40).map(b"".join),
    st.lists(st.integers(0, 60), max_size=5),
    st.lists(WAYS, max_size=12),
)
def test_ways_of_reading_may_be_mixed(data: bytes, cuts: list[int], ways: list[tuple[str, int]]) -> None:
    async def run() -> None:
        connection = make_connection(Peer())
        places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})

        async def feed() -> None:
            for start, end in pairwise(places):
                connection.feed(data[start:end])
                await asyncio.sleep(0)
            connection.on_eof()

        feeding = asyncio.create_task(feed())
        taken = []
        for way, number in ways:
            pieces = await take(connection, way, number)
            taken += pieces
            if way == "lines":
                assert all(piece.find(b"\n") in (-1, len(piece) - 1) for piece in pieces)
        while piece := await connection.receive():
            taken.append(piece)
        await feeding
        assert b"".join(taken) == data

    asyncio.run(run())


@pytest.mark.parametrize("way", ["receive", "lines", "fixed:4"])
def test_reading_ahead_keeps_to_the_bounds(way: str) -> None:
    async def run() -> None:
        peer = Peer()
        connection = make_connection(peer)
        data = b"abc\n" * (HIGH_BYTES // 2)  # twice as much as may wait
        for at in range(0, len(data), 1 << 16):
            connection.feed(data[at : at + (1 << 16)])
        assert peer.paused
        asyncio.get_running_loop().call_soon(connection.on_eof)  # as the server does, after the bytes
        taken = b""
        while len(taken) < len(data):
            taken += b"".join(await take(connection, "lines", 1))  # reads ahead, and leaves that to the next
            taken += b"".join(await take(connection, way, 20_000))
        assert taken == data
        await asyncio.sleep(0)
        assert not peer.paused

    asyncio.run(run())


def test_what_was_read_ahead_outlives_a_reset() -> None:
    async def run() -> None:
        connection = make_connection(Peer())
        connection.feed(b"one\ntwo\nthr")
        await asyncio.sleep(0)
        assert await take(connection, "lines", 1) == [b"one\n"]
        connection.on_closed("peer_reset")
        with pytest.raises(ConnectionResetError):
            await take(connection, "lines", 9)
        assert await connection.receive() == b"thr"
        with pytest.raises(ConnectionResetError):
            await connection.receive()

    asyncio.run(run())


def test_a_message_that_a_pause_ends_does_not_wait_for_the_next() -> None:
    async def run() -> None:
        connection = make_connection(Peer())
        connection.feed(b"ping")
        async with asyncio.timeout(30):
            assert await take(connection, "idle:0.01", 1) == [b"ping"]

    asyncio.run(run())
