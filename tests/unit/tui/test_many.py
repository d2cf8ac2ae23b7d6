"""The table widget with 50,000 sockets, and with none: text is made for what can be seen, and the selection stays."""

import asyncio
import time

from support import DEADLINE_S
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from unit.tui.made import Looks, numbered

from portside.app.sort_order import Sort
from portside.app.watch_columns import live_columns
from portside.kernel.table import SocketTable
from portside.settings.watch import Watch
from portside.tui.row_order import RowSorter
from portside.tui.socket_table import SocketTableView

MANY = 50_000
HEIGHT = 24


class One(App[None]):
    """The widget alone."""

    def __init__(self) -> None:
        super().__init__(ansi_color=True)
        self.table = SocketTableView(live_columns(Watch()))
        self.look = Looks()

    def compose(self) -> ComposeResult:
        yield self.table

    def put(self, sockets: SocketTable, sort: Sort = Sort("remote")) -> None:  # noqa: B008
        view = self.look(sockets)
        self.table.show(view, RowSorter().order(view, sort), sort)

    async def shown(self, pilot: Pilot[None], text: str, line: int | None = None) -> int:
        """Which line of the screen has a text, once one has; or once that line has."""
        end = time.monotonic() + DEADLINE_S
        while True:
            found = [y for y, shown in enumerate(self.screen_text()) if text in shown]
            if found and line in (None, found[0]):
                return found[0]
            assert time.monotonic() < end, (text, line, found)
            await pilot.pause(0.01)

    def screen_text(self) -> list[str]:
        return [self.table.render_line(y).text.rstrip() for y in range(self.table.size.height)]


def test_many_sockets() -> None:
    async def run() -> None:
        app = One()
        async with app.run_test(size=(80, HEIGHT)) as pilot:
            await pilot.pause()
            app.put(numbered(*range(1, MANY + 1)))
            await pilot.pause()
            first = app.screen_text()
            assert first[0].split()[:3] == ["Proto", "Recv-Q", "Send-Q"]
            assert "127.0.0.1:1 " in first[1] + " "
            app.table.focus()
            await pilot.press("end")
            await pilot.pause()
            assert app.table.selected == MANY
            await app.shown(pilot, f"127.0.0.1:{MANY} ", len(app.screen_text()) - 1)
            await pilot.press("pageup", "up")
            assert app.table.selected == MANY - (HEIGHT - 2) - 1
            row = await app.shown(pilot, f":{app.table.selected} ")
            # Others come and go, and the order is turned round: it stays the one, and where it was on the screen.
            kept = MANY - (HEIGHT - 2) - 1
            app.put(numbered(*range(5001, MANY + 1)))
            await pilot.pause()
            assert app.table.selected == kept
            await app.shown(pilot, f":{kept} ", row)
            app.put(numbered(*range(5001, MANY + 1)), Sort("remote", reverse=True))
            await pilot.pause()
            assert app.table.selected == kept
            await app.shown(pilot, f":{kept} ")
            await pilot.press("home")
            assert app.table.selected == MANY

    asyncio.run(run())


def test_none() -> None:
    async def run() -> None:
        app = One()
        async with app.run_test(size=(80, HEIGHT)) as pilot:
            app.table.empty = "there are none"
            app.put(numbered())
            app.table.focus()
            await pilot.press("down", "end", "pageup", "home")
            assert app.table.selected is None
            assert app.table.selected_row is None
            assert "  there are none" in app.screen_text()

    asyncio.run(run())


def test_the_selection_passes_on_when_its_socket_has_gone() -> None:
    async def run() -> None:
        app = One()
        async with app.run_test(size=(80, HEIGHT)) as pilot:
            app.put(numbered(1, 2, 3))
            app.table.focus()
            await pilot.press("down", "down")
            assert app.table.selected == 2
            app.put(numbered(1, 3))
            assert app.table.selected == 2
            app.look.now += 60
            app.put(numbered(1, 3))
            assert app.table.selected == 3
            line = app.table.selected_row
            assert line is not None
            assert line.key == 3

    asyncio.run(run())
