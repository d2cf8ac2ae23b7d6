"""How a stream is delivered: until its end, until its reader leaves, or until nobody reads it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from portside.control.routes import events

FRAMES = [b"one\n", b"two\n"]


async def frames() -> AsyncIterator[bytes]:
    for frame in FRAMES:
        yield frame


async def never() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


class Reader:
    """The other side of a stream; ``aborted`` counts how often its connection was cut."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.aborted = 0
        self.scope = {"state": {"abort": self.abort}}

    def abort(self) -> None:
        self.aborted += 1

    async def take(self, frame: bytes) -> None:
        self.got.append(frame)


def test_all_frames_are_sent() -> None:
    reader = Reader()
    assert asyncio.run(events.deliver(frames(), reader.take, never, reader.scope)) is True
    assert (reader.got, reader.aborted) == (FRAMES, 0)


def test_a_reader_that_leaves_ends_the_stream() -> None:
    reader = Reader()
    messages = iter([{"type": "websocket.receive", "text": "ignored"}, {"type": "websocket.disconnect"}])

    async def endless() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def receive() -> dict[str, Any]:
        return next(messages)

    assert asyncio.run(events.deliver(endless(), reader.take, receive, reader.scope)) is False
    assert (list(messages), reader.aborted) == ([], 0)


def test_a_reader_that_reads_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "STALLED_S", 0.02)
    reader = Reader()

    async def stuck(frame: bytes) -> None:
        reader.got.append(frame)
        await asyncio.Event().wait()

    assert asyncio.run(events.deliver(frames(), stuck, never, reader.scope)) is False
    assert (reader.got, reader.aborted) == (FRAMES[:1], 1)


def test_a_connection_that_breaks_ends_the_stream() -> None:
    reader = Reader()

    async def broken(_frame: bytes) -> None:
        raise ConnectionResetError

    assert asyncio.run(events.deliver(frames(), broken, never, reader.scope)) is False
    assert reader.aborted == 0
