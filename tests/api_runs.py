"""Runs of coroutines for tests of the Python API: in either loop, and leaving nothing behind."""

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import uvloop

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
DEADLINE_S = 30.0


def open_descriptors() -> dict[str, str]:
    """What the descriptors of this process are."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the folder itself
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
    return found


def run(main: Coroutine[Any, Any, Any], loop: str = "asyncio") -> None:
    """Run a coroutine to its end, with a deadline; fail where it leaves a task, a descriptor or a thread."""
    errors: list[dict[str, Any]] = []

    async def bounded() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
        before = asyncio.all_tasks()
        async with asyncio.timeout(DEADLINE_S):
            await main
        for _ in range(5):  # generators that were left end in tasks of their own
            await asyncio.sleep(0)
        left = {each for each in asyncio.all_tasks() - before if not each.done()}
        assert not left, left

    with asyncio.Runner(loop_factory=LOOPS[loop]) as first:
        first.run(asyncio.sleep(0))  # libuv opens a pipe for signals once in a process
    gc.collect()
    descriptors, threads = open_descriptors(), set(threading.enumerate())
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(bounded())
    gc.collect()
    left = {fd: what for fd, what in open_descriptors().items() if fd not in descriptors}
    assert not left, left
    assert not [each for each in threading.enumerate() if each not in threads and each.is_alive()]
    assert not errors, errors


async def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Let the loop turn until a condition holds, with a deadline; its value."""
    async with asyncio.timeout(DEADLINE_S):
        while not (value := condition()):  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)
    assert value, what
    return value
