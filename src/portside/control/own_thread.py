"""A call on a thread of its own, which the end of the run does not wait for.

It may look a name up for many seconds, or wait for a server that does not answer.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, ParamSpec, TypeVar

MOST_THREADS: Final = 32
PATIENCE_S: Final = 5.0  # that a call waits for one of them

_P = ParamSpec("_P")
_T = TypeVar("_T")


class AllThreadsBusy(Exception):
    """No thread has become free in time."""


class OwnThreads:
    """Calls, each on a new thread; at most so many at a time, since who asked may have gone before his call is over."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(MOST_THREADS)

    async def call(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """The result of a function; its error is raised here. Raises AllThreadsBusy."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._free.acquire()
        except TimeoutError:
            raise AllThreadsBusy from None
        loop = asyncio.get_running_loop()
        result: asyncio.Future[_T] = loop.create_future()

        def settle(value: _T | None, error: Exception | None) -> None:
            self._free.release()
            if result.done():
                return  # nobody waits any more
            if error is not None:
                result.set_exception(error)
            else:
                result.set_result(value)  # type: ignore[arg-type]

        def run() -> None:
            try:
                outcome = function(*args, **kwargs), None
            except Exception as error:  # noqa: BLE001 -- it is raised where the result is awaited
                outcome = None, error  # type: ignore[assignment]
            with suppress(RuntimeError):  # the loop is closed: the run has ended
                loop.call_soon_threadsafe(settle, *outcome)

        try:
            threading.Thread(target=run, name="portside-call", daemon=True).start()
        except RuntimeError:  # the machine gives no more threads
            self._free.release()
            raise AllThreadsBusy from None
        return await result
