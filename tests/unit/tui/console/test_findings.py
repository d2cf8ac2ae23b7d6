"""What is wrong, on its own screen and on the others: when it is asked for, what it marks, and what it says."""

import pytest
from unit.tui.console.driving import Driven, drive
from unit.tui.console.fake_server import FakeServer, finding, found, problem, server_info
from unit.tui.console.snapshots import compare

from portside.tui.console import findings as module

PATH = "/api/v1/findings"
HOSTILE = "\x1b[31mred\u202e\n"


@pytest.fixture(autouse=True)
def at_each_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for findings at each poll, as if so much time had passed."""
    monkeypatch.setattr(module, "_SHOWN_S", 0.0)
    monkeypatch.setattr(module, "_ELSEWHERE_S", 0.0)


def server() -> FakeServer:
    """Three connections, of which two are in findings."""
    made = FakeServer()
    made.findings = found(
        finding(
            "accept-queue-overflow",
            "critical",
            subject={"kind": "listener", "pid": 812, "program": HOSTILE, "local": "0.0.0.0:8080"},
            summary=f"{HOSTILE}: the accept queue is full (5 wait, the limit is 4): 31 connections dropped in 9s.",
            inodes=[4026],
        ),
        finding("close-wait-leak", "warning", conns=[1, *range(3, 20)], conns_total=400, unseen=["the program: why"]),
        finding("idle-unprotected", "info", conns=[1, 2], conns_total=2, subject={"kind": "machine"}),
        blind={"conntrack-near": "nf_conntrack_count: this kernel does not count it"},
        notes=[f"counters cannot be read: {HOSTILE}"],
    )
    made.sockets = [
        {
            "proto": "tcp", "family": 4, "state": "LISTEN", "recv_q": 5, "send_q": 4, "local": "0.0.0.0:8080",
            "remote": None, "inode": 4026, "owners": [], "info": {}, "gaps": {},
        }
    ]  # fmt: skip
    return made


def times_asked(console: Driven) -> int:
    """How often the findings were asked for."""
    return [path for path, _ in console.server.asked].count(PATH)


def test_the_screen_at_80_by_24() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("127.0.0.1:40003")
        await console.press("d")
        await console.wait("1 critical  1 warning", "the accept queue is full (5 wait")
        assert "\x1b" not in console.text
        assert "\u202e" not in console.text
        compare(console.text, "findings-80x24")
        await console.press("down")
        await console.wait("Connections: #1 #3", "and 388 more", "Not seen: the program: why")
        await console.press("enter")
        await console.wait("# close-wait-leak", "Why it happens")
        await console.press("escape", "n")
        await console.wait("conntrack-near: nf_conntrack_count", r"counters cannot be read: \x1b[31m")
        await console.press("escape", "escape")
        await console.wait("all keys", "3 open connections")

    drive(journey, server())


def test_the_screen_is_there_without_findings_and_before_them() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("3 open connections")
        console.server.findings = problem(503, "others ask with too many filters at the moment")
        await console.press("d")
        await console.wait("others ask with too many filters")
        await console.press("enter", "n")
        await console.wait("What cannot be looked at", "nothing")

    drive(journey)


def test_that_nothing_is_found_says_how_long_was_looked() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("3 open connections")
        console.server.findings = found(watched=1.5, looks=2)
        await console.press("d")
        await console.wait("findings: none; 2 looks in 1s", "nothing found; most of what can be found shows within 10s")

    drive(journey)


def test_other_screens_mark_what_is_wrong_from_the_first_look_on() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("127.0.0.1:40003")
        assert times_asked(console) == 0
        await console.press("d")
        await console.wait("1 critical  1 warning")
        await console.press("escape")
        await console.wait("! open", "· open")
        await console.press("down", "enter")
        await console.wait("! close-wait-leak: 3 connections wait for close()", "· idle-unprotected: ")
        await console.press("escape", "m")
        await console.wait("!! LISTEN")
        # What was mended is marked no more; another run of the server has other connections.
        console.server.findings = found()
        await console.press("escape", "d")
        await console.wait("findings: none")
        await console.press("escape")
        await console.until(lambda: "! open" not in console.text and "warning" not in console.text, "no mark")
        console.server.findings = server().findings
        await console.press("d")
        await console.wait("critical")
        console.server.findings = problem(503, "not yet")
        console.server.info = server_info(pid=60000, started="2026-11-22T13:00:00.000000Z")
        await console.wait("pid 60000", "not yet")
        assert "critical" not in console.text

    drive(journey, server())


def test_watching_on_can_be_ended() -> None:
    async def journey(console: Driven) -> None:
        await console.wait("127.0.0.1:40003")
        await console.press("d")
        await console.wait("1 critical")
        await console.press("w")
        await console.wait("not watched from other screens")
        await console.press("escape")
        await console.until(lambda: "critical" not in console.text, "no count in the header")

        def asks_no_more() -> bool:
            """Whether the last ten questions were about something else: one may have been on its way."""
            return PATH not in [path for path, _ in console.server.asked[-10:]]

        await console.until(asks_no_more, "other questions")

    drive(journey, server())
