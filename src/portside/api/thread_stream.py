"""A blocking iterator on a thread of its own as an asynchronous one, in bounded memory."""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")
Make = Callable[[Callable[[], None]], Generator[Item, None, None]]
"""Makes the iterator, on the thread; what it gets is called once nothing is missed any more."""

MOST_WAITING = 1024  # items between the thread and the program: while so many wait, the thread does too


class Stop:
    """A request to a thread to stop, which makes ``fileno`` readable. The thread opens that, and closes it."""

    def __init__(self) -> None:
        self._fd = -1
        self._lock = threading.Lock()
        self.is_set = False

    def fileno(self) -> int:
        """The descriptor, for poll(2)."""
        with self._lock:
            if self._fd < 0:
                self._fd = os.eventfd(int(self.is_set), os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            return self._fd

    def set(self) -> None:
        """Ask; a second time, and after ``close``, nothing happens."""
        with self._lock:
            if not self.is_set:
                self.is_set = True
                if self._fd >= 0:
                    os.eventfd_write(self._fd, 1)

    def close(self) -> None:
        """Close the descriptor, at the end of the thread."""
        with self._lock:
            self.is_set = True
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)


class _Worker(Generic[Item]):
    """The thread, and the items that wait; it does not know the stream, which may be dropped."""

    def __init__(self, make: "Make[Item]", stop: Callable[[], None], name: str) -> None:
        self.waiting: deque[Item] = deque()
        self.changed = asyncio.Event()
        self.is_over = False
        self.has_begun = False
        self.error: Exception | None = None
        self._make = make
        self._stop = stop
        self._is_stopping = False
        self._room = threading.Semaphore(MOST_WAITING)
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def take(self) -> Item:
        """The next item, where one waits."""
        self._room.release()
        return self.waiting.popleft()

    def stop(self) -> None:
        """Have the thread end."""
        if not self._is_stopping:
            self._is_stopping = True
            self._room.release()
            self._stop()

    # On the thread.

    def _run(self) -> None:
        failure: Exception | None = None
        try:
            with closing(self._make(self._on_begun)) as items:
                for item in items:
                    self._room.acquire()
                    if self._is_stopping:
                        break
                    self._loop.call_soon_threadsafe(self._put, item)
        except Exception as error:  # noqa: BLE001 - it is raised where the stream is read
            failure = error
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._end, failure)

    def _on_begun(self) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._begun)

    # In the loop.

    def _begun(self) -> None:
        self.has_begun = True
        self.changed.set()

    def _put(self, item: Item) -> None:
        self.waiting.append(item)
        self.changed.set()

    def _end(self, error: Exception | None) -> None:
        self.error = error
        self.is_over = True
        self.changed.set()


class ThreadStream(Generic[Item]):
    """An async iterator over what a thread reads; the thread starts with the first ``anext`` or ``async with``.

    Once ``async with`` is entered, nothing is missed. Leaving it, ``aclose``, or dropping the stream ends the thread.
    """

    def __init__(self, make: "Make[Item]", stop: Callable[[], None], name: str) -> None:
        """For Portside itself. ``stop``, on any thread, ends what ``make`` has made soon."""
        self._start: Callable[[], _Worker[Item]] = lambda: _Worker(make, stop, name)
        self._worker: _Worker[Item] | None = None
        self._is_closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        if self._is_closed:
            raise StopAsyncIteration
        worker = self._begin()
        while not worker.waiting:
            if worker.is_over:
                self._raise_error(worker)
                raise StopAsyncIteration
            worker.changed.clear()
            await worker.changed.wait()
        return worker.take()

    async def __aenter__(self) -> Self:
        worker = self._begin()
        try:
            while not worker.has_begun and not worker.is_over:
                worker.changed.clear()
                await worker.changed.wait()
        except BaseException:
            worker.stop()
            raise
        if worker.is_over and not worker.has_begun:
            self._raise_error(worker)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the stream, and wait for its thread; items that wait are dropped. A second call does nothing."""
        self._is_closed = True
        worker = self._worker
        if worker is None:
            return
        worker.stop()
        while not worker.is_over:
            worker.changed.clear()
            await worker.changed.wait()

    def _raise_error(self, worker: _Worker[Item]) -> None:
        self._is_closed = True
        error, worker.error = worker.error, None
        if error is not None:
            raise error

    def _begin(self) -> _Worker[Item]:
        if self._worker is None:
            self._worker = self._start()
        return self._worker

    def __del__(self) -> None:
        worker = getattr(self, "_worker", None)
        if worker is not None:
            worker.stop()
