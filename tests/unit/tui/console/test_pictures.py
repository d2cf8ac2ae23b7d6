"""The pictures of ``docs/console.md`` are of the console as it is; SCREENS=write makes them anew."""

import os
import re
from pathlib import Path

from unit.tui.console.driving import Driven, drive
from unit.tui.console.fake_server import FakeServer, connection, finding, found
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


def test_findings() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("127.0.0.1:40003")
        await console.press("d")
        await console.wait("1 critical")
        await with_rates(console)
        await console.press("down")
        compare(console, "console-findings")

    made = FakeServer()
    made.findings = found(
        finding(
            "accept-queue-overflow",
            "critical",
            subject={"kind": "listener", "pid": 812, "program": "uwsgi", "local": "0.0.0.0:8080"},
            first_seen="2026-11-22T12:00:41.123456Z",
            count=31,
        ),
        finding(
            "receiver-slow",
            "warning",
            subject={"kind": "program", "pid": 53140, "program": "portside", "local": "127.0.0.1:12345"},
            summary="portside leaves 121 KiB unread on 1 connection: it has read nothing for 41s.",
            evidence={"connections": 1, "stuck": 1, "recv_q_bytes": 124_000, "nothing_read_for_s": 41.0},
            why="What arrives waits in the receive buffer (Recv-Q). When that is full the window closes, and the peer "
            "must stop sending: the delay is in this program, not in the network.",
            remedy="see what the program waits for (`strace -p PID`, its stack, a lock, its own output); read in a "
            "loop of its own; a larger buffer only puts it off.",
            count=1,
            conns=[1],
            conns_total=1,
        ),
        finding("idle-unprotected", "info", count=2),
        blind={"conntrack-near": "nf_conntrack_count: this kernel does not count it"},
    )
    drive(journey, made, size=SIZE)


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
