"""A call on a thread of its own, which the end of the run does not wait for: it may look a name up for many seconds."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def on_own_thread(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """The result of a function that is called on a new thread; its error is raised here."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[_T] = loop.create_future()

    def settle(value: _T | None, error: Exception | None) -> None:
        if result.done():
            return  # nobody waits any more
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]

    def call() -> None:
        try:
            outcome = function(*args, **kwargs), None
        except Exception as error:  # noqa: BLE001 -- it is raised where the result is awaited
            outcome = None, error  # type: ignore[assignment]
        with suppress(RuntimeError):  # the loop is closed: the run has ended
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=call, name="portside-names", daemon=True).start()
    return await result
