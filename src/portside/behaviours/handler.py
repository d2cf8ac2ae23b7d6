"""``--handler FILE.py:NAME``: the user's async function for each connection.

The functions run on a loop and a thread of their own, so a function that computes or blocks delays other handlers, but
not the server. If a function raises, its traceback is reported and its connection is closed.
"""

import asyncio
import importlib.util
import inspect
import os
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

from portside.behaviours.connection import Connection as HandledConnection
from portside.errors import PortsideError, UsageError
from portside.events import CloseReason
from portside.server.behaviour import Behaviour
from portside.server.connection import Connection

GRACE_S = 1.0  # for a function to end after its connection is closed
_MOST_LINES = 20  # of a traceback

Function = Callable[[HandledConnection], Coroutine[Any, Any, None]]
ReportLine = Callable[[Connection | None, bytes], None]


@lru_cache(maxsize=1)
def load(where: str) -> tuple[Function, str]:
    """The function that ``FILE.py:NAME`` names, and the path of its file.

    Raises UsageError where there is no such function, PortsideError where the file is not there or cannot be run.
    """
    path, colon, name = where.rpartition(":")
    if not colon or not path or not name.isidentifier():
        raise UsageError("--handler", f"{where!r} names no function", "write FILE.py:NAME")
    path = os.path.abspath(path)
    if not os.path.isfile(path):
        raise PortsideError("--handler", f"there is no file {path}")
    spec = importlib.util.spec_from_file_location("portside_handler", path)
    if spec is None or spec.loader is None:
        raise UsageError("--handler", f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.append(os.path.dirname(path))  # last: a file in it must not stand in for a package of ours
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        lines = traceback_lines(error, path)
        hint = lines[-2].strip() if len(lines) > 1 else None
        raise PortsideError(f"--handler {path}", f"{type(error).__name__}: {error}", hint) from error
    function = getattr(module, name, None)
    if not inspect.iscoroutinefunction(function):
        raise UsageError("--handler", f"{name} in {path} is no async function", f"async def {name}(connection): …")
    return function, path


def traceback_lines(error: BaseException, path: str) -> list[str]:
    """A traceback as lines: the frames of the user's file alone, and the error."""
    frames = traceback.TracebackException.from_exception(error)
    own = [frame for frame in frames.stack if os.path.abspath(frame.filename) == path]
    lines = [line for text in traceback.StackSummary.from_list(own).format() for line in text.rstrip("\n").split("\n")]
    what = [line for text in frames.format_exception_only() for line in text.rstrip("\n").split("\n")]
    return [*lines[-_MOST_LINES:], *what]


class Handlers(Behaviour):
    """Runs ``function`` for each connection. ``report_line`` gets each line of a traceback of the function."""

    def __init__(self, function: Function, path: str, report_line: ReportLine) -> None:
        self._function = function
        self._path = path
        self._report_line = report_line
        self._server = asyncio.get_running_loop()
        self._own = asyncio.new_event_loop()
        self._stopped = False
        self._tasks: dict[Connection, asyncio.Task[None]] = {}  # the handlers' thread's
        self._wrappers: dict[Connection, HandledConnection] = {}  # the server's thread's
        self._thread = threading.Thread(target=self._run, name="handlers", daemon=True)
        self._thread.start()

    # On the server's thread.

    def opened(self, connection: Connection) -> None:
        wrapper = self._wrappers[connection] = HandledConnection(connection, self._server, self._own)
        self._own.call_soon_threadsafe(self._begin, connection, wrapper)

    def received(self, connection: Connection, data: bytes) -> None:
        if wrapper := self._wrappers.get(connection):
            wrapper.feed(data)

    def half_closed(self, connection: Connection) -> bool:
        wrapper = self._wrappers.get(connection)
        if wrapper is None:
            return False
        self._own.call_soon_threadsafe(wrapper.on_eof)
        return True

    def writable(self, connection: Connection) -> None:
        if wrapper := self._wrappers.get(connection):
            wrapper.on_writable()

    def closed(self, connection: Connection, reason: CloseReason) -> None:
        if wrapper := self._wrappers.pop(connection, None):
            self._own.call_soon_threadsafe(self._on_closed, connection, wrapper, reason)

    def _on_returned(self, connection: Connection, error: list[str]) -> None:
        """Close the connection of a function that has returned, or raised an error."""
        self._report(connection, error)
        if connection not in self._wrappers:
            return
        if error:
            connection.close("error")
        else:
            connection.close_gracefully()

    def _report(self, connection: Connection | None, lines: list[str]) -> None:
        """Report a traceback. ``connection`` is None for a task that the user's function has started itself."""
        for line in lines:
            self._report_line(connection, line.encode("utf-8", "surrogateescape"))

    async def end(self) -> None:
        """Cancel what still runs; a function that blocks is left behind."""
        self._own.call_soon_threadsafe(self._stop)
        await self._server.run_in_executor(None, partial(self._thread.join, 2 * GRACE_S))

    # On the handlers' thread.

    def _run(self) -> None:
        asyncio.set_event_loop(self._own)
        while not self._stopped:
            try:
                self._own.run_forever()
            except BaseException as raised:  # noqa: BLE001 - a task of the user's raised SystemExit: the others go on
                self._server.call_soon_threadsafe(self._report, None, traceback_lines(raised, self._path))
        self._own.close()

    def _begin(self, connection: Connection, wrapper: HandledConnection) -> None:
        self._tasks[connection] = self._own.create_task(self._call(connection, wrapper))

    async def _call(self, connection: Connection, wrapper: HandledConnection) -> None:
        error: list[str] = []
        try:
            await self._function(wrapper)
        except BaseException as raised:  # noqa: BLE001 - the user's code: SystemExit ends its connection, not the server
            if not self._stopped and not wrapper.is_closed:  # otherwise the closed connection is the cause
                error = traceback_lines(raised, self._path)
        finally:
            self._tasks.pop(connection, None)
        with suppress(RuntimeError):  # the server's loop has ended
            self._server.call_soon_threadsafe(self._on_returned, connection, error)

    def _on_closed(self, connection: Connection, wrapper: HandledConnection, reason: CloseReason) -> None:
        wrapper.on_closed(reason)
        if task := self._tasks.get(connection):
            self._own.call_later(GRACE_S, task.cancel)

    def _stop(self) -> None:
        self._ending = self._own.create_task(self._finish())

    async def _finish(self) -> None:
        """Cancel what still runs, and let it do what it does last."""
        self._stopped = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE_S)
        await self._own.shutdown_asyncgens()
        self._own.stop()
