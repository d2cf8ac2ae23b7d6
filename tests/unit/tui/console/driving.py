"""The console without a terminal: its screen as text, keys, and waiting with a deadline."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

from support import DEADLINE_S
from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot
from unit.tui.console.fake_server import FakeServer

from portside.tui.console import app as module
from portside.tui.console.app import ConsoleApp

SIZE = (80, 24)


class Driven:
    """A running console and its fake server."""

    def __init__(self, app: ConsoleApp, pilot: Pilot[int], server: FakeServer) -> None:
        self.app = app
        self.pilot = pilot
        self.server = server

    @property
    def text(self) -> str:
        """What is on the screen."""
        lines = [
            "".join(segment.text for segment in strip).rstrip()
            for strip in self.app.screen._compositor.render_strips(self.app.size)
        ]
        return "\n".join(lines).rstrip() + "\n"

    async def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Poll a condition until it is true; its value."""
        end = time.monotonic() + DEADLINE_S
        while not (value := condition()):
            assert time.monotonic() < end, f"waited for {what}\n{self.text}"
            await self.pilot.pause(0.01)
        return value

    async def wait(self, *shown: str) -> str:
        """The screen, once all of these are on it."""
        found: str = await self.until(lambda: all(each in self.text for each in shown) and self.text, f"{shown}")
        return found

    async def press(self, *keys: str) -> None:
        """Press keys at once, by Textual's names, and wait until they are handled."""
        for key in keys:
            name = _character_to_key(key) if len(key) == 1 else key
            self.app.post_message(events.Key(name, key if len(key) == 1 else " " if key == "space" else None))
        handled = asyncio.Event()
        self.app.call_later(handled.set)
        await asyncio.wait_for(handled.wait(), DEADLINE_S)

    async def type(self, text: str) -> None:
        """Type text."""
        await self.press(*text)


@asynccontextmanager
async def console(server: FakeServer, size: tuple[int, int] = SIZE, **options: Any) -> AsyncIterator[Driven]:
    """A console that shows a server, polled all the time."""
    app = ConsoleApp(lambda _: server, server, server.info, interval_s=0.02, **options)
    with patch.object(module, "end_if_hung_up"):  # there is no terminal
        async with app.run_test(size=size) as pilot:
            yield Driven(app, pilot, server)
    assert app.failure is None, app.failure


def drive(journey: Callable[[Driven], Awaitable[None]], server: FakeServer | None = None, **options: Any) -> None:
    """Run a test with a console."""

    async def run() -> None:
        async with console(server or FakeServer(), **options) as driven:
            await journey(driven)

    asyncio.run(run())
