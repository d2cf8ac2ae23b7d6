"""What runs beside the display, so that a key never waits: one thread for the looking, and tasks."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


class Worker:
    """``failed`` is told of what goes wrong in a task, at once."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._thread = ThreadPoolExecutor(1, "looking")
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Do something in a task of its own."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)

    async def do(self, work: Callable[[], _T]) -> _T:
        """Do something in the thread, after what it was given before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def do_some_time(self, work: Callable[[], None]) -> None:
        """As ``do``, without waiting."""
        self._thread.submit(work)

    def end(self) -> None:
        """Let what the thread does now end, and nothing else begin."""
        for task in self._tasks:
            task.cancel()
        self._thread.shutdown(wait=True, cancel_futures=True)
