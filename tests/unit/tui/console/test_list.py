"""The first screen: which connections it shows, in which order, and what it asks the server for."""

from typing import Any

from unit.tui.console.driving import Driven, drive
from unit.tui.console.fake_server import FakeServer, connection, server_info
from unit.tui.console.snapshots import compare

from portside.tui.console.row_table import RowTable

MANY = 20_000


def kernel(recv_q: int, send_q: int, rtt_us: int) -> dict[str, int]:
    return {"recv_q": recv_q, "send_q": send_q, "rtt_us": rtt_us}


def some() -> list[dict[str, Any]]:
    return [
        connection(1, note="the slow one", tags=["lab"], holds=["operator"], kernel=kernel(65536, 0, 41)),
        connection(2, peer="[2001:db8::1]:50000", faults=2, owners=None, kernel=kernel(0, 1000, 80_000)),
        connection(3, state="half_closed", received=123_456_789, owners=None, kernel=None),
        connection(4, state="closed", reason="peer_reset", idle=None, kernel=None),
    ]


def first_row(console: Driven) -> str:
    """The first row on the screen; empty while there is none."""
    lines = console.text.splitlines()
    begin = next((number for number, line in enumerate(lines) if "Peer" in line), len(lines))
    return "".join(lines[begin + 1 : begin + 2]).strip()


def asked(server: FakeServer) -> dict[str, Any]:
    """How the list was asked for last."""
    return next(words for path, words in reversed(server.asked) if path == "/api/v1/connections")


def test_the_screen_at_80_by_24() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("40003")
        compare(console.text, "list-80x24")

    drive(journey, FakeServer(some()))


def test_the_screen_at_140_by_30_with_closed_ones() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("[2001:db8::1]:50000")
        await console.press("o", "o")
        await console.wait("4 connections", "peer_reset")
        compare(console.text, "list-140x30")

    drive(journey, FakeServer(some()), size=(140, 30))


def test_how_many_servers_are_shown_as_one() -> None:
    async def journey(console: Driven) -> None:
        console.server.info = server_info(pid=0, started="", servers=[7, 11], silent=[])
        await console.wait("127.0.0.1:12345  2 servers on build-7")
        console.server.info = server_info(pid=0, started="", servers=[7], silent=[11])
        await console.wait("127.0.0.1:12345  1 server (1 more without an answer) on build-7")

    drive(journey)


def test_open_closed_all_and_none() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("0 open connections", "nobody is connected now")
        await console.press("o")
        await console.wait("0 closed connections", "no connection has closed yet")
        assert asked(console.server)["state"] == "closed"
        await console.press("o")
        await console.wait("nobody has connected yet")

    drive(journey, FakeServer([]))


def test_of_many_connections_those_that_are_seen_are_asked_for() -> None:
    async def journey(console: Driven) -> None:
        await console.wait(f"{MANY:,} open connections")
        await console.press("end")
        await console.wait(f"127.0.0.1:{40000 + MANY}")
        await console.press("pageup", "pageup")
        await console.wait(f"127.0.0.1:{40000 + MANY - 34}")
        await console.press("home")
        await console.wait("127.0.0.1:40001")
        table = console.app.screen.query_one(RowTable)
        assert table.selected is not None
        assert table.selected["conn"] == 1
        limits = {words["limit"] for path, words in console.server.asked if path == "/api/v1/connections"}
        assert max(limits) <= 60
        offsets = [words["offset"] for path, words in console.server.asked if path == "/api/v1/connections"]
        assert max(offsets) > MANY - 60

    server = FakeServer([connection(number) for number in range(1, MANY + 1)])
    drive(journey, server)


def test_sorting() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("#▲")
        await console.press("r")
        await console.until(lambda: first_row(console).startswith("3 "), "the other way round")
        await console.press("8")
        await console.wait("Received▲")
        assert asked(console.server)["sort"] in ("received", "-conn")
        await console.press("8")
        await console.wait("Received▼")
        await console.until(lambda: asked(console.server)["sort"] == "-received", "the largest first")
        await console.press(">")
        await console.wait("Sent▲")
        await console.press("<", "<")
        await console.wait("Send-Q▲")
        await console.until(lambda: asked(console.server)["sort"] == "sendq", "the sort of the API")

    drive(journey)


def test_a_selection_stays_on_its_connection() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("127.0.0.1:40003")
        table = console.app.screen.query_one(RowTable)
        await console.press("down", "down")
        assert table.selected is not None
        assert table.selected["conn"] == 2
        console.server.connections.insert(0, connection(0))
        await console.until(lambda: first_row(console).startswith("0 "), "one before it")
        assert table.selected["conn"] == 2
        del console.server.connections[2]
        await console.until(lambda: table.selected is not None and table.selected["conn"] == 3, "the next one")
        await console.press("escape")
        assert table.selected is None

    drive(journey)


def test_what_has_changed_is_marked() -> None:
    def styles(console: Driven, word: str) -> set[str]:
        table = console.app.screen.query_one(RowTable)
        segments = [segment for y in range(table.size.height) for segment in table.render_line(y)]
        return {str(segment.style) for segment in segments if word in segment.text}

    async def journey(console: Driven) -> None:
        await console.wait("127.0.0.1:40003")
        assert all("underline" not in each for each in styles(console, "12"))
        seen: set[str] = set()

        def changes() -> bool:
            console.server.connections[1]["received"] += 1_000_000
            nonlocal seen
            seen |= styles(console, "M")
            return any("underline" in each for each in seen)

        await console.until(changes, "a mark")
        assert not any("underline" in each for each in styles(console, "127.0.0.1:40002"))

    drive(journey)


def test_a_filter_as_it_is_typed() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("3 open connections")
        await console.press("/")
        await console.type("40002")
        await console.wait("1 open connection:", "/ 40002")
        await console.press("enter")
        await console.wait("filter: 40002", "all keys")
        await console.press("/")
        await console.type(" idel")
        screen = await console.wait("nothing is called 'idel': did you mean idle?")
        typed, mark = screen.splitlines()[-5:-3]
        assert typed.index("idel") == mark.index("^^^^")
        await console.wait("1 open connection:")  # the last good one stays
        await console.press("escape")
        await console.wait("filter: 40002")
        await console.press("/", "ctrl+u")
        await console.type("nobody")
        await console.wait("none matches  nobody")
        await console.press("ctrl+u", "enter")
        await console.wait("3 open connections")

    drive(journey)


def test_text_of_others_is_escaped() -> None:
    async def journey(console: Driven) -> None:
        await console.wait(r"\x1b[31m", r"100/n\x1bc")
        assert "\x1b" not in console.text

    one = connection(1, note="\x1b[31mred\u202e", owners=[{"pid": 100, "program": "n\x1bc", "command": None}])
    drive(journey, FakeServer([one]), size=(120, 24))


def test_help_and_quitting() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("3 open")
        await console.press("?")
        await console.wait("portside console", "the sockets of the machine")
        compare(console.text, "help-80x24")
        await console.press("escape")
        await console.wait("3 open")
        await console.press("q")

    drive(journey)
