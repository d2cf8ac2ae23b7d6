"""The events that a page of other servers passes on: how much waits for a subscriber."""

import asyncio
from collections.abc import Iterator
from typing import Any

from support import DEADLINE_S, wait_until

from portside.app.loop import run
from portside.control.gateway.stream import StreamReader

ITEMS = 100
SIZE = 10_000
MOST = 128 * 1024


class Source:
    """Objects of a stream; ``given`` is how many have been read."""

    given = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for _ in range(ITEMS):
            self.given += 1
            yield {"text": "x" * SIZE}

    def close(self) -> None:
        """End nothing: it ends by itself."""


def test_what_waits_for_a_subscriber_is_bounded_by_its_size() -> None:
    run(subscribe())


async def subscribe() -> None:
    source = Source()
    reader = StreamReader(source)
    frames = reader.frames()
    taken = 0
    while taken < ITEMS:
        ahead = min(MOST // SIZE + 1, ITEMS - taken)
        wait_until(lambda taken=taken, ahead=ahead: source.given >= taken + ahead, "the reader")  # type: ignore[misc]
        async with asyncio.timeout(DEADLINE_S):
            frame = await anext(frames)
        assert len(frame) < MOST + 2 * SIZE
        taken += frame.count(b"\n")
    async with asyncio.timeout(DEADLINE_S):
        assert [frame async for frame in frames] == []
