"""Background work of the live display, so that a key never waits: one thread for the kernel, and tasks of the loop.

Textual's own workers do not do: their threads run concurrently and in any order, and cannot be awaited at the end. Here
one call at a time uses the netlink sockets, and the last call has ended before they are closed.
"""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


class Worker:
    """Threads, by default one, and any number of tasks.

    ``failed`` is called at once with the exception that ended a task.
    """

    def __init__(self, failed: Callable[[BaseException], None], threads: int = 1) -> None:
        self._failed = failed
        self._thread = ThreadPoolExecutor(threads, "poll")
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_over = False  # keys and timers may still come while the display ends

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run a coroutine in a task of its own; after ``shutdown`` it is cancelled before it begins."""
        task = asyncio.create_task(work)
        if self._is_over:
            task.cancel()
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self._is_over:
            self._failed(error)

    async def run(self, work: Callable[[], _T]) -> _T:
        """Call a function in the thread, after all that was given to it before; its result, or its exception."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def submit(self, work: Callable[[], None]) -> None:
        """Call a function in the thread as ``run`` does, without waiting for it; not after ``shutdown``."""
        if not self._is_over:
            self._thread.submit(work)

    def shutdown(self, *, wait: bool = True) -> None:
        """Cancel the tasks, wait for the calls that the threads are in unless told otherwise, and begin no other."""
        self._is_over = True
        for task in self._tasks:
            task.cancel()
        self._thread.shutdown(wait=wait, cancel_futures=True)
