"""One loop on a thread of its own for what waits: ``portside.sync`` is made of it, and the pytest plugin uses it."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from portside.app.loop import new_event_loop
from portside.errors import PortsideError

if TYPE_CHECKING:
    from portside.api.thread_stream import ThreadStream

Result = TypeVar("Result")
_END = object()
_WAITS_S = 5.0  # for a call that was interrupted to give back what it holds


class LoopThread:
    """A loop on a thread of its own, and calls of coroutines in it from others.

    The loop is uvloop, which makes no socket by way of Python: tests may have put something else in the place of
    ``socket.socket``.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = new_event_loop()
        self._thread = threading.Thread(target=self._run, name="portside.sync", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    @property
    def is_alive(self) -> bool:
        """Whether the loop runs."""
        return self._thread.is_alive() and not self.loop.is_closed()

    def call(self, coroutine: Coroutine[Any, Any, Result], timeout: float | None = None) -> Result:
        """The result of a coroutine; one that is not done in ``timeout`` seconds is cancelled. Raises what it does.

        Raises TimeoutError, PortsideError in a process that was forked or when the thread has ended, and RuntimeError
        on the loop's own thread.
        """
        if self.pid != os.getpid() or threading.current_thread() is self._thread:
            coroutine.close()
            if self.pid != os.getpid():
                raise PortsideError("portside.sync", "this process was forked, and its parent has opened that")
            raise RuntimeError("this is the thread of portside.sync, where nothing may wait")
        if not self.is_alive:
            coroutine.close()
            raise PortsideError("portside.sync", "the thread of the servers has ended")
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(timeout)
        except BaseException as error:
            if future.done() and not future.cancelled():
                raise  # the coroutine's own
            future.cancel()
            if isinstance(error, TimeoutError):
                raise TimeoutError(f"not done within {timeout:g}s") from None
            raise

    def get(self, function: Callable[[], Result], timeout: float | None = None) -> Result:
        """The result of a function that is called in the loop."""
        return self.call(called(function), timeout)

    def stop(self) -> None:
        """End the loop and its thread; what is still open on it is lost."""
        if self.pid != os.getpid() or not self.is_alive:
            return
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_WAITS_S)
        if not self._thread.is_alive():
            self.loop.close()


_lock = threading.Lock()
_shared: LoopThread | None = None


def loop_thread() -> LoopThread:
    """The thread of this process, started at the first call, and anew where it has ended."""
    global _shared  # noqa: PLW0603 - one thread for all connections of the process
    with _lock:
        if _shared is None or not _shared.is_alive:
            _shared = LoopThread()
        return _shared


def stop_loop_thread() -> None:
    """End the thread of this process, if there is one, as at the end of a test run."""
    global _shared
    with _lock:
        thread, _shared = _shared, None
    if thread is not None:
        thread.stop()


def _forget_parent() -> None:
    """In a child: the thread is the parent's alone, and so is whoever held the lock."""
    global _lock, _shared
    _lock, _shared = threading.Lock(), None


os.register_at_fork(after_in_child=_forget_parent)


class Waiting:
    """Calls that wait, each as long as ``settimeout`` allows."""

    def __init__(self, thread: LoopThread) -> None:
        self._thread = thread
        self._timeout: float | None = None

    def settimeout(self, seconds: float | None) -> None:
        """Let each call from now on take so many seconds at most, and then raise TimeoutError; None is no limit."""
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        """The seconds that a call may take; None is no limit."""
        return self._timeout

    def _wait(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return self._thread.call(coroutine, self._timeout)

    def _get(self, function: Callable[[], Result]) -> Result:
        """The result of a function that is called in the loop."""
        return self._thread.call(called(function))

    def _each(self, source: AsyncIterator[Result]) -> Iterator[Result]:
        """The items of an asynchronous iterator, which is closed with this one."""
        try:
            while (item := self._wait(_next(source))) is not _END:
                yield item  # type: ignore[misc]
        finally:
            with suppress(PortsideError, RuntimeError):
                self._thread.call(_close(source), _WAITS_S)


class Stream(Waiting, Generic[Result]):
    """An iterator over what happens, until ``close`` or the end of its ``with`` block.

    It begins with the first ``next``, or with ``with``: once that is entered, nothing is missed. ``settimeout`` limits
    how long each ``next`` may take, which then raises TimeoutError.

    >>> with portside.sync.Control("127.0.0.1:12345").events("conn = 1", payload="all") as events:
    ...     sent = portside.sync.Control("127.0.0.1:12345").send(1, b"hello\\n")
    ...     print(next(events).event)
    act
    """

    def __init__(self, thread: LoopThread, source: "ThreadStream[Result]") -> None:
        """For Portside itself."""
        super().__init__(thread)
        self._source = source

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Result:
        item = self._wait(_next(self._source))
        if item is _END:
            raise StopIteration
        return item  # type: ignore[return-value]

    def __enter__(self) -> Self:
        self._wait(self._source.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the stream; what waits in it is dropped. A second call does nothing."""
        self._thread.call(self._source.aclose(), _WAITS_S)


async def called(function: Callable[[], Result]) -> Result:
    """The result of a function, as a coroutine."""
    return function()


async def _next(source: AsyncIterator[Result]) -> Result | object:
    return await anext(source, _END)


async def _close(source: AsyncIterator[Any]) -> None:
    close = getattr(source, "aclose", None)
    if close is not None:
        await close()
