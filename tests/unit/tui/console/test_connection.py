"""The screen of one connection: what was said, what the kernel knows, going back in time, and the line to answer."""

from typing import Any

import pytest
from unit.tui.console.driving import Driven, drive
from unit.tui.console.fake_server import FakeServer, connection, details, history, message, problem, server_info
from unit.tui.console.snapshots import compare

from portside.tui.console.connection_screen import ConnectionScreen
from portside.tui.console.transcript_view import TranscriptView


def server(**changed: Any) -> FakeServer:
    """Three connections, of which the first has a history of a minute."""
    made = FakeServer()
    made.details[1] = details(1, **changed)
    made.messages[1] = [
        message(1, "hello\n"),
        message(2, "hi there\nand more\n", direction="out"),
        message(3, "\x1b[31mred\u202e\x00\n"),
        {"seq": 4, "at": "2026-11-22T12:00:09.000000Z", "direction": "in", "size": 3, "base64": "/wAQ"},
    ]
    made.histories[1] = history(
        61,
        received=[row * row for row in range(61)],
        sent=[min(row, 30) * 100 for row in range(61)],
        recv_q=[0] * 40 + [1024 * row for row in range(21)],
        rtt_us=[40 + row % 5 for row in range(61)],
        snd_wnd=[65536] * 61,
    )
    made.faults[1] = [
        {"id": 2, "spec": "latency 200ms", "phase": "active", "held": 6, "by": "unix uid 0", "leg": "client"},
    ]
    return made


def said_lines(console: Driven) -> list[str]:
    """The lines of the transcript, without the scroll bar."""
    return [line[:78].rstrip() for line in console.text.splitlines()[3:10]]


async def opened(console: Driven) -> None:
    await console.wait("127.0.0.1:40003")
    await console.press("down", "enter")
    await console.wait("#1 127.0.0.1:40001", "kernel: ESTABLISHED")


@pytest.mark.parametrize("mode", ["text", "hex", "text and hex"])
def test_the_screen_at_80_by_24(mode: str) -> None:
    async def journey(console: Driven) -> None:
        await opened(console)
        await console.wait("hi there", "fault 2")
        for _ in range(["text", "hex", "text and hex"].index(mode)):
            await console.press("x")
        await console.wait(f"  {mode}  follow")
        assert "\x1b" not in console.text
        assert "\u202e" not in console.text
        compare(console.text, f"connection-{mode.replace(' ', '-')}-80x24")

    drive(journey, server())


def test_the_screen_at_140_by_40() -> None:
    async def journey(console: Driven) -> None:
        await opened(console)
        await console.wait("hi there", "fault 2")
        compare(console.text, "connection-140x40")

    drive(journey, server(), size=(140, 40))


def test_a_terminal_that_is_too_small_shows_what_fits() -> None:
    async def journey(console: Driven) -> None:
        await opened(console)
        await console.wait("Recv-Q         20k", "in  68.4k arrived")
        assert max(map(len, console.text.splitlines())) <= 44
        await console.press("v")
        await console.wait("hi there")

    drive(journey, server(), size=(44, 14))


def test_what_comes_is_followed_until_somebody_scrolls_up() -> None:
    async def journey(console: Driven) -> None:
        said = console.server.messages[1]
        said += [message(number, f"line {number}\n") for number in range(10, 50)]
        await opened(console)
        await console.wait("line 49", "follow")
        await console.press("pageup")
        await console.wait("STAY (End follows)")
        before = said_lines(console)
        said += [message(50, "line 50\n")]
        view = console.app.screen.query_one(TranscriptView)
        await console.until(lambda: view.line_count == 46, "it to come")
        assert said_lines(console) == before
        await console.press("home")
        await console.wait("hello")
        await console.press("end")
        await console.wait("line 50", "follow")
        said += [message(51, "line 51\n")]
        await console.wait("line 51")
        await console.press("x")
        await console.wait("  hex  follow", "|line 51.|")

    drive(journey, server())


def test_searching() -> None:
    async def journey(console: Driven) -> None:
        console.server.messages[1] += [message(number, f"line {number}\n") for number in range(10, 50)]
        await opened(console)
        await console.wait("line 49")
        await console.press("/")
        await console.type("line 1")
        await console.press("enter")
        await console.wait("10/10", "line 19")
        await console.press("<")
        await console.wait("9/10")
        await console.press(">", ">")
        await console.wait("1/10", "line 10")
        await console.press("/")
        await console.type(r"\xff\0")
        await console.press("enter")
        await console.wait("1/1", r"\xff\0\x10")
        await console.press("/")
        await console.type("nowhere")
        await console.press("enter")
        await console.wait("not found in what is held here")
        await console.press("escape")
        await console.wait("all keys")

    drive(journey, server())


def test_sending() -> None:
    def sent(console: Driven) -> list[Any]:
        return [body for _, path, body in console.server.acts if path == "connections/1/send"]

    async def journey(console: Driven) -> None:
        await opened(console)
        await console.press("enter")
        await console.wait("send line>", "Tab line/text/hex")
        await console.type(r"hi \x00")
        await console.press("enter")
        await console.wait("#1: sent 6 B")
        await console.press("tab")
        await console.wait("send text>")
        await console.type("pk")
        await console.press("enter", "tab")
        await console.wait("send hex>")
        await console.type("0d 0")
        await console.press("enter")
        await console.wait("two hexadecimal digits")
        await console.type("a")
        await console.press("enter")
        await console.until(lambda: len(sent(console)) == 3, "all to be sent")
        assert [each["base64"] for each in sent(console)] == ["aGkgAAo=", "cGs=", "DQo="]
        await console.press("up", "up", "up")
        await console.wait(r"send hex> hi \x00")
        await console.press("down", "down", "down", "tab")
        await console.type(r"\q")
        await console.press("enter")
        await console.wait(r"\q is no escape")
        await console.press("escape")
        await console.wait("send> press Enter to answer")

    drive(journey, server())


def test_going_back_in_time() -> None:
    async def journey(console: Driven) -> None:
        await opened(console)
        await console.wait("Recv-Q         20k")
        await console.press("left")
        screen = await console.wait("at 12:00:59 UTC", "Escape now", "Recv-Q         19k")
        assert "19k Recv-Q" in screen
        await console.press(*["left"] * 30)
        await console.wait("at 12:00:29 UTC", "Recv-Q           0")
        compare(console.text.partition("ago")[0].split("kernel:")[0], "connection-earlier-80x24")
        await console.press(*["left"] * 60)
        await console.wait("at 12:00:00 UTC")
        await console.press("z")
        await console.wait("5m before")
        await console.press("right")
        await console.wait("at 12:00:05 UTC")
        await console.press("escape")
        await console.wait("now, 5m before")
        await console.press("left", "right")
        await console.wait("now, 5m before")
        await console.press("escape")
        await console.wait("3 open connections")

    drive(journey, server())


def test_the_facts_can_be_hidden() -> None:
    async def journey(console: Driven) -> None:
        await opened(console)
        await console.press("v")
        await console.until(lambda: "kernel:" not in console.text, "them to go")
        await console.press("v")
        await console.wait("kernel:")

    drive(journey, server())


def test_a_connection_that_closes_and_is_forgotten() -> None:
    async def journey(console: Driven) -> None:
        await opened(console)
        gone = details(1, state="closed", reason="peer_reset", bytes=None, kernel=None, gaps={"bytes": "it has closed"})
        console.server.details[1] = gone
        await console.wait("peer_reset", "bytes: it has closed", "not in the kernel's table")
        del console.server.details[1]
        del console.server.connections[0]
        await console.wait("there is no connection 1, or it closed too long ago", "hello")

    drive(journey, server())


def test_a_connection_of_the_run_before() -> None:
    async def journey(console: Driven) -> None:
        await opened(console)
        console.server.info = server_info(pid=60000, started="2026-11-22T13:00:00.000000Z")
        await console.wait("the server was started anew: this is what the connection was in the run before", "hello")
        await console.press("k", "p", "enter")
        await console.press("escape")
        await console.wait("3 open connections")
        assert console.server.acts == []

    drive(journey, server())


def test_messages_are_asked_for_once() -> None:
    async def journey(console: Driven) -> None:
        await opened(console)
        await console.wait("hello")

        def asked_after() -> bool:
            words = [each for path, each in console.server.asked if path.endswith("/messages")]
            return len(words) > 3 and "after" not in words[0] and all(each["after"] == "4" for each in words[1:])

        await console.until(asked_after, "the next messages to be asked for")
        since = [each for path, each in console.server.asked if path.endswith("/history")]
        assert since[-1] == {"since": "2026-11-22T12:01:00.000000Z"}
        assert isinstance(console.app.screen, ConnectionScreen)

    drive(journey, server())


def test_payload_that_is_not_held() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("127.0.0.1:40003")
        await console.press("down", "down", "enter")
        await console.wait("what was said before the first look is not held")
        await console.press("escape", "down", "enter")
        await console.wait("nothing was said yet")

    drive(journey, FakeServer([connection(1), connection(2), connection(3, received=0, sent=0)]))


def test_an_act_from_here() -> None:
    async def journey(console: Driven) -> None:
        await opened(console)
        await console.press("p")
        await console.wait("#1: paused")
        console.server.refusal = problem(409, "it is being closed")
        await console.press("p")
        await console.wait("it is being closed")

    drive(journey, server())
