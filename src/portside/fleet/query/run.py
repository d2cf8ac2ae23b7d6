"""One run of a command about a fleet: the connection, its end, and what is said about the run."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import ExitStack, aclosing
from types import FrameType
from typing import Any

import nats.errors

from portside.app.notices import write_notice
from portside.app.signals import EndSignals
from portside.app.stdout import ends_with_reader
from portside.errors import PortsideError
from portside.fleet.broker import BrokerConnection, connect, failure, without_password
from portside.fleet.query.state import FleetState
from portside.fleet.query.stream import Batch, JetStreamReader
from portside.fleet.schema import Envelope
from portside.settings.broker import BrokerOptions
from portside.units import counted

Apply = Callable[[Envelope, float], object]
Work = Callable[[BrokerConnection], Coroutine[Any, Any, None]]


class ReaderGoneError(Exception):
    """The reader of standard output has gone: there is nobody to write for."""


def run(options: BrokerOptions, work: Work, *, name: str, is_lasting: bool = False) -> int:
    """Connect, and do the work; the exit status. With ``is_lasting`` it goes on until a signal, which ends it in order.

    Raises PortsideError.
    """
    with ExitStack() as stack:
        if is_lasting:
            stack.enter_context(ends_with_reader())
        asyncio.run(_run(options, work, name, is_lasting=is_lasting))
    return 0


async def _run(options: BrokerOptions, work: Work, name: str, *, is_lasting: bool) -> None:
    broken, ended = asyncio.Event(), asyncio.Event()
    servers = ", ".join(map(without_password, options.nats))

    async def on_disconnected() -> None:
        if is_lasting and not ended.is_set():
            write_notice(f"{servers}: the connection is lost; trying again until it is back")
        broken.set()

    async def on_reconnected() -> None:
        write_notice(f"{servers}: connected again")

    broker = await connect(
        options, name=name, is_lasting=is_lasting, on_disconnected=on_disconnected, on_reconnected=on_reconnected
    )
    try:
        working = asyncio.ensure_future(work(broker))
        if is_lasting:
            _cancel_at_signal(working)
        else:
            await _unless_broken(working, broken, servers)
        await working
    except asyncio.CancelledError:
        if not is_lasting:
            raise
    except ReaderGoneError:
        return
    except (nats.errors.Error, OSError) as error:
        raise failure(options, error) from error
    finally:
        ended.set()
        await broker.close()


async def _unless_broken(working: "asyncio.Future[None]", broken: asyncio.Event, servers: str) -> None:
    """Wait for the work. Raises PortsideError where the connection breaks first."""
    waiting = asyncio.ensure_future(broken.wait())
    try:
        await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if not working.done():
        working.cancel()
        await asyncio.wait((working,))
        raise PortsideError(servers, "the connection was lost")


def _cancel_at_signal(working: "asyncio.Future[None]") -> None:
    """End the work at SIGINT or SIGTERM; another one after that ends the process, be its reader as slow as it may."""
    loop = asyncio.get_running_loop()
    handled = [each for each in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(each) is not signal.SIG_IGN]

    asked = EndSignals()

    def end(number: int, _frame: FrameType | None) -> None:
        match asked.take():
            case "first":
                loop.call_soon_threadsafe(working.cancel)
            case "again":
                os._exit(128 + number)

    for each in handled:
        signal.signal(each, end)


async def read(batches: AsyncGenerator[Batch, None], apply: Apply) -> None:
    """Apply all messages of a reading that has an end."""
    async with aclosing(batches):
        async for batch in batches:
            for message, stored_at in batch.messages:
                apply(message, stored_at)


async def follow(
    batches: AsyncGenerator[Batch, None], apply: Apply, draw: Callable[[], None], *, every_s: float
) -> None:
    """Apply the messages of a reading without an end, and draw what is known each ``every_s`` seconds from its end on.

    The end is where all has come that the stream had at the beginning.
    """
    is_complete = asyncio.Event()

    async def take() -> None:
        async with aclosing(batches):
            async for batch in batches:
                for message, stored_at in batch.messages:
                    apply(message, stored_at)
                if batch.is_end:
                    is_complete.set()

    async def show() -> None:
        await is_complete.wait()
        while True:
            draw()
            await asyncio.sleep(every_s)

    await until_one_ends(take(), show())


async def until_one_ends(*works: Coroutine[Any, Any, object]) -> None:
    """Run all of these until the first of them ends, and then end the others. Raises what that one raises."""
    tasks = [asyncio.ensure_future(each) for each in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def say_left_out(reader: JetStreamReader, state: FleetState | None = None) -> None:
    """Say once what was left out of the answer."""
    for sentence in reader.left_out.sentences():
        write_notice(sentence)
    if state is not None and state.left_out:
        words = ", ".join(counted(count, what.removesuffix("s")) for what, count in sorted(state.left_out.items()))
        write_notice(f"no room for all that the fleet has told: {words} left out")
