"""The behaviour of a server whose connections belong to the program that embeds it: all of it in one loop."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from portside.behaviours.connection import Connection
from portside.events import CloseReason
from portside.server.behaviour import Behaviour
from portside.server.connection import Connection as ServerConnection

GRACE_S = 1.0  # for a handler to end after its connection is closed

Handler = Callable[[Connection], Coroutine[Any, Any, object]]
"""An async function that is called with each connection, which is closed in order when the function returns."""


class LoopHandlers(Behaviour):
    """Calls ``handler`` with each connection; without one, ``on_ready`` gets the connection."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handler: Handler | None,
        wrap: Callable[[ServerConnection], Connection],
        on_ready: Callable[[Connection], object],
    ) -> None:
        self._loop = loop
        self._handler = handler
        self._wrap = wrap
        self._on_ready = on_ready
        self._wrappers: dict[ServerConnection, Connection] = {}
        self._tasks: dict[ServerConnection, asyncio.Task[None]] = {}

    def opened(self, connection: ServerConnection) -> None:
        wrapper = self._wrappers[connection] = self._wrap(connection)
        if self._handler is None:
            self._on_ready(wrapper)
            return
        self._tasks[connection] = self._loop.create_task(self._call(self._handler, connection, wrapper))

    def received(self, connection: ServerConnection, data: bytes) -> None:
        if wrapper := self._wrappers.get(connection):
            wrapper.feed(data)

    def half_closed(self, connection: ServerConnection) -> bool:
        wrapper = self._wrappers.get(connection)
        if wrapper is None:
            return False
        wrapper.on_eof()
        return True

    def writable(self, connection: ServerConnection) -> None:
        if wrapper := self._wrappers.get(connection):
            wrapper.on_writable()

    def closed(self, connection: ServerConnection, reason: CloseReason) -> None:
        self._wrappers.pop(connection, None)
        if (task := self._tasks.get(connection)) and not self._loop.is_closed():
            timer = self._loop.call_later(GRACE_S, task.cancel)
            task.add_done_callback(lambda _: timer.cancel())

    async def _call(self, handler: Handler, connection: ServerConnection, wrapper: Connection) -> None:
        try:
            await handler(wrapper)
        except Exception as error:  # noqa: BLE001 - the program's code: its error ends its connection, not the server
            # After the end of its connection, that it is gone is no news.
            if not (wrapper.is_closed and isinstance(error, ConnectionError)):
                self._report(error)
            connection.close("error", error=f"{type(error).__name__}: {error}")
        except BaseException:
            connection.abort("local_closed")
            raise
        else:
            connection.close_gracefully()
        finally:
            self._tasks.pop(connection, None)

    def _report(self, error: Exception) -> None:
        context = {"message": "a handler of portside.listen raised an exception", "exception": error}
        self._loop.call_exception_handler(context)

    async def end(self) -> None:
        """Cancel what still runs, and let it do what it does last."""
        tasks = {task for task in self._tasks.values() if task is not asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE_S)
