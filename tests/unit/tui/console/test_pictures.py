"""The pictures of ``docs/console.md`` are of the console as it is; SCREENS=write makes them anew."""

import os
import re
from pathlib import Path

from unit.tui.console.driving import Driven, drive
from unit.tui.console.fake_server import FakeServer, connection
from unit.tui.console.snapshots import FOLDER
from unit.tui.console.test_connection import opened, server
from unit.tui.console.test_list import some

from portside.app.cell_text import size_text

DOCS = Path(__file__).parents[4] / "docs"
SIZE = (110, 26)
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # from a host of others: the reader's own font will do


def compare(console: Driven, name: str) -> None:
    picture = _FONTS.sub("", console.app.export_screenshot(title="portside console"))
    path = DOCS / "images" / f"{name}.svg"
    if os.environ.get("SCREENS") == "write":
        path.write_text(picture, encoding="utf-8")
    assert picture == path.read_text(encoding="utf-8"), f"{path} is another picture; SCREENS=write keeps the new one"


async def with_rates(console: Driven) -> None:
    """A minute of looks at the server, as if it had passed."""
    rates = console.app.session.rates
    received = sent = opened = 0
    for second in range(61):
        received += 40_000 * (second % 17) + (second % 5) * 20_000
        sent += 9_000 * (second // 10)
        opened += second % 9 == 0
        counts = {**console.server.info["counts"], "received": received, "sent": sent, "opened": opened}
        rates.add({**console.server.info, "uptime": 1000.0 + second, "counts": counts})
    rate = f"{size_text(round(rates.now.received))}/s" if rates.now is not None else ""
    await console.wait(rate)


def test_the_list() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("127.0.0.1:40012")
        await with_rates(console)
        await console.press("down", "down")
        compare(console, "console-list")

    others = [connection(number, received=number * 8191, sent=number * 100) for number in range(5, 13)]
    drive(journey, FakeServer([*some()[:3], *others]), size=SIZE)


def test_a_connection() -> None:
    async def journey(console: Driven) -> None:
        await opened(console)
        await console.wait("hi there", "fault 2")
        await console.press("x", "x")
        await with_rates(console)
        compare(console, "console-connection")

    drive(journey, server(), size=SIZE)


def test_the_screen_on_the_page_is_one_that_is_kept() -> None:
    screen = (FOLDER / "connection-text-80x24.txt").read_text(encoding="utf-8")
    assert f"```\n{screen}```" in (DOCS / "console.md").read_text(encoding="utf-8")
