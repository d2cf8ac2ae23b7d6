"""The server goes away and comes back, and what runs beside the lists: events, the machine, both ends together."""

import os
from typing import Any

import pytest
from unit.tui.console.driving import Driven, drive
from unit.tui.console.fake_server import FakeServer, server_info
from unit.tui.console.snapshots import compare

from portside.control.client.http_client import Silent
from portside.tui.console.beside_server import Notices, first_answer

AT = "2026-11-22T12:00:04.001234Z"


def received(seq: int, text: str) -> dict[str, Any]:
    return {"seq": seq, "event": "received", "at": AT, "conn": 1, "peer": "127.0.0.1:40001", "size": 6, "text": text}


def test_the_server_goes_and_comes_back() -> None:
    async def journey(console: Driven) -> None:
        server = console.server
        await console.wait("3 open connections")
        server.is_gone = True
        await console.wait("GONE for", ": Connection refused", "127.0.0.1:40003")
        await console.press("down", "p")
        await console.wait("Connection refused", "all keys")
        server.info = server_info(pid=60000, started="2026-11-22T13:00:00.000000Z")
        del server.connections[1:]
        server.is_gone = False
        await console.wait("pid 60000", "1 open connection:", "up 1m01")
        assert "GONE" not in console.text

    drive(journey)


class SlowServer(FakeServer):
    """A server that is too busy to answer the first requests in time."""

    def __init__(self, silent: int) -> None:
        super().__init__()
        self.silent = silent

    def request(self, method: str, path: str, **given: Any) -> Any:
        if self.silent:
            self.silent -= 1
            raise Silent("the server", "no answer within 10s")
        return super().request(method, path, **given)


def test_a_server_that_is_slow_to_begin_is_asked_again() -> None:
    server = SlowServer(silent=3)
    assert first_answer(server)["pid"] == server.info["pid"]
    with pytest.raises(Silent):
        first_answer(SlowServer(silent=1), most_s=0)


def test_events_come_as_they_happen() -> None:
    async def journey(console: Driven) -> None:
        server = console.server
        await console.wait("3 open connections")
        await console.press("e")
        (stream,) = await console.until(lambda: server.streams, "the stream")
        assert stream.query == {"payload": "head", "after": 0}
        stream.put(received(1, "hello \x1b[31m\n"))
        stream.put({"seq": 2, "event": "act", "at": AT, "act": "pause", "conn": 1, "peer": "a:1", "by": "unix uid 0"})
        stream.put({"seq": 5, "event": "missed", "count": 3})
        stream.put({"seq": 6, "event": "of_a_newer_version", "at": AT})
        stream.put(received(7, "unfinished"))
        await console.wait("unfinished", "-- 3 events not held any more")
        compare(console.text, "events-80x24")
        stream.put(None)
        again = (await console.until(lambda: len(server.streams) == 2 and server.streams, "another stream"))[1]
        assert again.query["after"] == 7
        await console.press("o")
        await console.wait("payload left out")
        await console.until(lambda: server.streams[-1].query["payload"] == "none", "the stream without payload")
        assert again.is_closed
        await console.press("/", *"idel")
        await console.wait("nothing is called 'idel'")
        await console.press("ctrl+u", *"conn = 1", "enter")
        await console.wait("filter: conn = 1")
        await console.until(lambda: server.streams[-1].query.get("filter") == "conn = 1", "the filter")
        await console.press("escape")
        await console.wait("3 open connections")
        last = server.streams[-1]
        await console.until(lambda: last.is_closed, "the end")

    drive(journey)


def test_a_flood_of_events_scrolls_and_stays() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("3 open connections")
        await console.press("e")
        (stream,) = await console.until(lambda: console.server.streams, "the stream")
        for number in range(1, 101):
            stream.put(received(number, f"line {number}\n"))
        await console.wait("line 100")
        await console.press("up")
        await console.wait("STAY (End follows)", "line 99")
        stream.put(received(101, "line 101\n"))
        await console.press("end")
        await console.wait("line 101")

    drive(journey)


def test_the_sockets_of_the_machine() -> None:
    async def journey(console: Driven) -> None:
        owner = {"pid": 812, "program": "ng\x1binx", "fd": 5}
        console.server.sockets = [
            {"proto": "tcp", "family": 4, "state": "ESTABLISHED", "recv_q": 7, "send_q": 0, "local": "127.0.0.1:443",
             "remote": "127.0.0.1:50000", "inode": 1, "uid": 0, "owners": [owner], "info": {"rtt_us": 41}, "gaps": {}},
            {"proto": "tcp6", "family": 6, "state": "LISTEN", "recv_q": 0, "send_q": 4096, "local": "[::]:443",
             "remote": None, "inode": 2, "uid": 0, "owners": None, "info": None, "gaps": {"owners": "not ours"}},
        ]  # fmt: skip
        await console.wait("3 open connections")
        await console.press("m")
        await console.wait("machine: 2 sockets: Recv-Q 7, Send-Q 4k")
        compare(console.text, "machine-80x24")
        await console.press("o")
        await console.until(lambda: console.server.asked[-1][1].get("view") == "listening", "the listeners")
        await console.press("/", *"127", "enter")
        await console.wait("machine: 1 listening socket:")
        await console.press("escape")
        await console.wait("3 open connections")

    drive(journey)


def test_a_server_that_ends_with_the_console_is_asked_about() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("3 open connections")
        for key in ("q", "ctrl+c"):
            await console.press(key)
            await console.wait("End the server too? 3 clients connected.")
            await console.press("n")
            await console.wait("all keys")
        await console.press("ctrl+z")
        await console.wait("it cannot be stopped and go on")
        console.app.show_notices([r"portside: something\x1b"])
        await console.wait(r"portside: something\x1b")
        await console.press("e")
        await console.wait(r"-- portside: something\x1b")
        await console.press("ctrl+c", "y")
        await console.until(lambda: console.app.return_code == 0, "the end")

    drive(journey, ends_server=True)


def test_without_one_it_just_ends() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("3 open connections")
        await console.press("?", "ctrl+c")
        await console.until(lambda: console.app.return_code == 0, "the end")

    drive(journey)


def test_notices_are_lines_that_are_safe_to_show() -> None:
    import asyncio

    async def run() -> None:
        loop = asyncio.get_running_loop()
        source, sink = os.pipe()
        shown: list[str] = []
        changed = asyncio.Event()

        def show(lines: list[str]) -> None:
            shown.extend(lines)
            changed.set()

        Notices(source, show).attach(loop)
        os.write(sink, b"portside: half a ")
        os.write(sink, b"line \x1b[31m\n\nunfin")
        async with asyncio.timeout(30):
            while not shown:
                await changed.wait()
                changed.clear()
            assert shown == [r"portside: half a line \x1b[31m"]
            os.close(sink)
            while len(shown) < 2:
                await changed.wait()
                changed.clear()
        assert shown[1] == "unfin"
        os.close(source)

    asyncio.run(run())


def test_more_than_the_rows_of_a_screen_can_be_a_server() -> None:
    """Many addresses do not fit into the header."""

    async def journey(console: Driven) -> None:
        await console.wait("127.0.0.1:1 +3  pid 53140")

    server = FakeServer()
    server.info = server_info(listeners=[{"address": f"127.0.0.1:{port}", "family": "ipv4"} for port in range(1, 5)])
    drive(journey, server)
