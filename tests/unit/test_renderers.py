"""Renderers as transcripts: events in, what is shown out. Times are UTC in tests (see conftest)."""

import time

import pytest

from portside.events import Act, Closed, HalfClosed, Listening, Opened, Received, Refused, Sent, Stopped
from portside.feed.render import Renderer, make_renderer
from portside.wire.frame import Frame

AT = 1_763_812_801_123_456_789  # 2025-11-22 12:00:01.123456789 UTC
PEER = "127.0.0.1:33406"


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def shown(renderer: Renderer, *events: object) -> str:
    return b"".join(renderer.render(events)).decode()  # type: ignore[arg-type]


def received(data: bytes) -> Received:
    return Received(AT, 1, PEER, data)


def later(renderer: Renderer) -> str:
    """What is shown when what it waits for is due."""
    deadline = renderer.deadline
    assert deadline is not None
    return b"".join(renderer.tick(deadline)).decode()


EVERYTHING = [
    Listening(AT, "0.0.0.0:12345"),
    Opened(AT, 1, PEER, "127.0.0.1:12345"),
    received(b"hello\n"),
    Sent(AT, 1, PEER, b"hi there\n"),
    Closed(AT, 1, PEER, "peer_closed", 6, 9, 2.544),
    Closed(AT, 2, "[::1]:1", "peer_reset", 0, 0, 0.0),
    Closed(AT, 3, "unix:pid=1", "error", 0, 0, 0.0, "No route to host"),
    Refused(AT, "1.2.3.4:5", "max_conns"),
    Stopped(AT, "signal"),
]


def test_text() -> None:
    assert shown(make_renderer("text"), *EVERYTHING) == (
        "12:00:01.123  listening on 0.0.0.0:12345\n"
        "12:00:01.123  #1 127.0.0.1:33406  connected\n"
        "12:00:01.123  #1 127.0.0.1:33406  > hello\n"
        "12:00:01.123  #1 127.0.0.1:33406  < hi there\n"
        "12:00:01.123  #1 127.0.0.1:33406  closed by peer after 2.544s, 6 B in, 9 B out\n"
        "12:00:01.123  #2 [::1]:1  reset by peer after 0.000s, 0 B in, 0 B out\n"
        "12:00:01.123  #3 unix:pid=1  lost after 0.000s, 0 B in, 0 B out: No route to host\n"
        "12:00:01.123  1.2.3.4:5  refused: max_conns\n"
        "12:00:01.123  stopped: signal\n"
    )


ACTS = [
    Act(at=AT, act="pause", conn=1, peer=PEER, by="unix uid 0"),
    Act(at=AT, act="send", conn=1, peer=PEER, by="web [::1]:5000", detail="6 B"),
    Act(at=AT, act="limit", by="unix uid 0", detail="max_conns=5"),
    Closed(AT, 1, PEER, "local_closed", 6, 9, 2.544, by="operator"),
]


def test_acts_of_an_operator_in_text() -> None:
    assert shown(make_renderer("text"), *ACTS) == (
        "12:00:01.123  #1 127.0.0.1:33406  operator: paused (unix uid 0)\n"
        "12:00:01.123  #1 127.0.0.1:33406  operator: sent 6 B (web [::1]:5000)\n"
        "12:00:01.123  operator: limit max_conns=5 (unix uid 0)\n"
        "12:00:01.123  #1 127.0.0.1:33406  closed here by the operator after 2.544s, 6 B in, 9 B out\n"
    )


def test_acts_of_an_operator_in_the_other_formats() -> None:
    assert shown(make_renderer("classic"), *ACTS) == (
        "Operator on ('127.0.0.1', 33406): paused (unix uid 0).\n"
        "Operator on ('127.0.0.1', 33406): sent 6 B (web [::1]:5000).\n"
        "Operator: limit max_conns=5 (unix uid 0).\n"
        "Connection from ('127.0.0.1', 33406) closed.\n"
    )
    assert shown(make_renderer("raw"), *ACTS) == ""
    assert shown(make_renderer("json"), *ACTS[1:]).replace("2025-11-22T12:00:01.123456Z", "…") == (
        '{"event":"act","at":"…","act":"send","conn":1,"peer":"127.0.0.1:33406","by":"web [::1]:5000","detail":"6 B"}\n'
        '{"event":"act","at":"…","act":"limit","by":"unix uid 0","detail":"max_conns=5"}\n'
        '{"event":"closed","at":"…","conn":1,"peer":"127.0.0.1:33406","reason":"local_closed","received":6,"sent":9,'
        '"duration":2.544,"by":"operator"}\n'
    )


def test_classic() -> None:
    assert shown(make_renderer("classic"), *EVERYTHING, Stopped(AT, "once"), HalfClosed(AT, 1, PEER)) == (
        "Listening on 0.0.0.0:12345...\n"
        "Connection from ('127.0.0.1', 33406) established.\n"
        "Received from ('127.0.0.1', 33406): hello\n"
        "Sent to ('127.0.0.1', 33406): hi there\n"
        "Connection from ('127.0.0.1', 33406) closed.\n"
        "EOF received from ('::1', 1, 0, 0). Connection closed.\n"
        "Connection from unix:pid=1 closed.\n"
        "Connection from ('1.2.3.4', 5) refused: max_conns.\n"
        "Server interrupted. Closing...\n"
    )


def test_classic_says_that_it_cut() -> None:
    assert shown(make_renderer("classic", max_frame=3), received(b"abcde\n")) == (
        "Received from ('127.0.0.1', 33406): abc\n"
        "Message cut at 3 bytes, it goes on.\n"
        "Received from ('127.0.0.1', 33406): de\n"
    )


def test_colours_stay_around_what_is_ours() -> None:
    line = shown(make_renderer("text", colour=True), received(b"hello\n"))
    assert line == ("\x1b[2m12:00:01.123\x1b[0m  \x1b[1;35m#1\x1b[0m 127.0.0.1:33406  \x1b[32m>\x1b[0m hello\n")


def test_an_unfinished_line_is_shown_after_a_while_and_its_rest_on_a_line_of_its_own() -> None:
    renderer = make_renderer("text")
    assert shown(renderer, received(b"one\ntw")) == "12:00:01.123  #1 127.0.0.1:33406  > one\n"
    assert later(renderer).endswith("> tw\n")
    assert renderer.deadline is None
    assert shown(renderer, received(b"o\n")).endswith("> o\n")


def test_an_unfinished_line_that_grows_is_due_as_before() -> None:
    renderer = make_renderer("text")
    shown(renderer, received(b"a"))
    deadline = renderer.deadline
    shown(renderer, received(b"b"))
    assert renderer.deadline == deadline
    assert later(renderer).endswith("> ab\n")


def test_an_unfinished_character_is_waited_for() -> None:
    renderer = make_renderer("text")
    now = time.monotonic()
    shown(renderer, received(b"h\xc3"))
    assert renderer.deadline is not None
    assert renderer.deadline > now + 2
    assert renderer.tick(now + 1) == []
    assert shown(renderer, received(b"\xa9llo\n")).endswith("> héllo\n")
    assert renderer.tick(now + 60) == []


def test_what_is_unfinished_at_the_end_is_shown_before_the_end() -> None:
    renderer = make_renderer("text")
    lines = shown(renderer, received(b"rest\xc3"), Closed(AT, 1, PEER, "peer_closed", 5, 0, 1.0)).splitlines()
    assert [line.split("  ")[-1] for line in lines] == [r"> rest\xc3", "closed by peer after 1.000s, 5 B in, 0 B out"]
    assert renderer.tick(time.monotonic() + 60) == []
    assert renderer.deadline is None


def test_half_closed_is_shown_only_of_a_connection_that_stays() -> None:
    renderer = make_renderer("text")
    closed = Closed(AT, 1, PEER, "peer_closed", 0, 0, 1.0)
    assert "still reads" not in shown(renderer, HalfClosed(AT, 1, PEER), closed)
    assert renderer.tick(time.monotonic() + 60) == []
    assert shown(renderer, HalfClosed(AT, 2, PEER)) == ""
    assert later(renderer).endswith("#2 127.0.0.1:33406  sent its last and still reads\n")


@pytest.mark.parametrize("data", [b"a\nb\n", b"a\n\nb\n", b"\n", b"a\xc3\xa9\nb\x00\n", b"x" * 20 + b"\ny\n"])
def test_the_short_cut_shows_what_the_long_way_shows(data: bytes) -> None:
    whole = shown(make_renderer("text", max_frame=64), received(data))
    renderer = make_renderer("text", max_frame=64)
    pieces = "".join(shown(renderer, received(bytes([byte]))) for byte in data)
    assert whole == pieces


def test_long_lines_are_cut_in_a_large_read_too() -> None:
    renderer = make_renderer("text", max_frame=8)
    lines = shown(renderer, received(b"short\n" + b"x" * 12 + b"\nshort\n")).splitlines()
    assert [line.split("  ")[-1] for line in lines] == [
        "> short",
        "> xxxxxxxx",
        "! cut at 8 B, the message goes on",
        "> xxxx",
        "> short",
    ]


def test_idle_frames_come_when_they_are_due() -> None:
    renderer = make_renderer("json", frame=Frame("idle", 0.05))
    assert shown(renderer, received(b"a"), received(b"b")) == ""
    assert '"text":"ab"' in later(renderer)


def test_lines_in_json_wait_for_their_end() -> None:
    renderer = make_renderer("json", frame=Frame("lines"))
    assert shown(renderer, received(b"a")) == ""
    assert renderer.deadline is None
    assert '"text":"ab\\n"' in shown(renderer, received(b"b\n"))


def test_hex_names_a_cut() -> None:
    lines = shown(make_renderer("hex", frame=Frame("lines"), max_frame=2), received(b"abc\n")).splitlines()
    assert lines[0].endswith("> 2 B")
    assert lines[1] == "    00000000  61 62" + " " * 45 + "|ab|"
    assert lines[2].endswith("! cut at 2 B, the message goes on")


def test_raw_on_a_terminal_is_escaped() -> None:
    renderer = make_renderer("raw", terminal=True)
    assert shown(renderer, Opened(AT, 1, PEER, "x"), received(b"a\x1b[2J\tb\n\xc3")) == "a\\x1b[2J\tb\n"
    assert shown(renderer, received(b"\xa9\xe2\x82")) == "é"
    assert shown(renderer, Closed(AT, 1, PEER, "peer_closed", 0, 0, 0.0)) == r"\xe2\x82"
    assert make_renderer("raw").render([received(b"\x1b")]) == [b"\x1b"]


def test_raw_on_a_terminal_has_lines_that_end_in_cr_lf() -> None:
    renderer = make_renderer("raw", terminal=True)
    assert shown(renderer, received(b"one\r\ntwo\r")) == "one\ntwo"
    assert shown(renderer, received(b"\nthree\r")) == "\nthree"
    assert shown(renderer, received(b"four\r")) == r"\rfour"
    assert shown(renderer, Closed(AT, 1, PEER, "peer_closed", 0, 0, 0.0)) == r"\r"
