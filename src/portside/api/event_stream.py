"""The events of a server as an asynchronous iterator, in bounded memory."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Self

from portside.events import Event, Payload, Stopped
from portside.feed.bus import EventBus

HIGH_BYTES = 4 << 20  # while so much waits to be taken, the server reads nothing more from clients
LOW_BYTES = 1 << 20
_EVENT_BYTES = 200  # what an event takes beside its payload


class _Queue:
    """The events that wait for one iterator; see ``feed.sinks.Sink``."""

    deadline = None

    def __init__(self, bus: EventBus) -> None:
        self.waiting: deque[Event] = deque()
        self.bytes = 0
        self.is_over = False
        self.changed = asyncio.Event()
        self._bus = bus
        self._wants_drain = False

    @property
    def full(self) -> bool:
        return self.bytes > HIGH_BYTES

    def consume(self, batch: Sequence[Event]) -> None:
        self.waiting.extend(batch)
        self.bytes += sum(map(_size, batch))
        self.is_over = self.is_over or isinstance(batch[-1], Stopped)
        self.changed.set()

    def take(self) -> Event:
        event = self.waiting.popleft()
        self.bytes -= _size(event)
        if self._wants_drain and self.bytes <= LOW_BYTES:
            self._wants_drain = False
            self._bus.drained()
        return event

    def tick(self) -> None:
        """Do nothing: there is no deadline."""

    def request_drain(self) -> None:
        self._wants_drain = True

    def drained(self) -> None:
        """Do nothing: nothing was skipped."""

    def end(self) -> None:
        """Take no more, and hold nobody up."""
        self.is_over = True
        self.waiting.clear()
        self.bytes = 0
        self.changed.set()
        self._bus.remove(self)


class EventStream:
    """The events of a server from the call of ``events()`` on, until the server has stopped; an async iterator.

    Nothing is left out: while 4 MiB wait to be taken, the server reads nothing more from its clients. Leaving
    ``async with``, ``aclose``, or dropping the stream ends that.

    >>> async with portside.listen("127.0.0.1:0", echo=True) as server:
    ...     async with server.events() as events:
    ...         async with portside.connect(server.port):
    ...             pass
    ...         async for event in events:
    ...             if isinstance(event, portside.Closed):
    ...                 print(event.conn, event.reason)
    ...                 break
    1 peer_closed
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, bus: EventBus, on_end: Callable[[], None]) -> None:
        """For Portside itself."""
        self._loop = loop
        self._queue = _Queue(bus)
        self._on_end = on_end
        self._is_ended = False
        bus.flush()  # what was published before is not for this stream
        bus.add(self._queue)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        queue = self._queue
        while not queue.waiting:
            if queue.is_over:
                self._end()
                raise StopAsyncIteration
            queue.changed.clear()
            await queue.changed.wait()
        return queue.take()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the stream; events that wait are dropped. A second call does nothing."""
        self._end()

    def _end(self) -> None:
        if not self._is_ended:
            self._is_ended = True
            self._queue.end()
            self._on_end()

    def __del__(self) -> None:
        if not self._is_ended and not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(self._queue.end)
                self._loop.call_soon_threadsafe(self._on_end)
            except RuntimeError:
                return  # the loop has been closed on another thread meanwhile


def _size(event: Event) -> int:
    return _EVENT_BYTES + (len(event.data) if isinstance(event, Payload) else 0)
