"""The event loop's implementation; chosen here and nowhere else."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import TypeVar

import uvloop

Result = TypeVar("Result")

logging.getLogger("portside").addHandler(logging.NullHandler())  # silent without --log-level


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new loop, which is nobody's current one yet."""
    return uvloop.new_event_loop()


def run(main: Coroutine[object, object, Result]) -> Result:
    """Run a coroutine to its end in a new uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
