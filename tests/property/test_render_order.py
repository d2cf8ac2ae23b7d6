"""The times of text: in order, and those of the events, however lines, FINs and connections come in between."""

import re
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.events import Closed, Event, HalfClosed, Payload, Received, Sent, Stopped
from portside.feed.render import make_renderer, ordered_output

AT = 1_800_000_000_000_000_000
ACTIONS = st.sampled_from(["in", "out", "half", "closed"])
STEPS = st.lists(
    st.tuples(
        st.integers(0, 130), ACTIONS, st.integers(1, 3), st.sampled_from([b"a", b"b\n", b"c\nd", b"\n", b"e\nf\n"])
    ),
    max_size=30,
)
LINE = re.compile(r"(\d\d:\d\d:\d\d\.\d\d\d)  #(\d) p  (.*)")


def event_of(action: str, conn: int, data: bytes, at: int) -> Event:
    match action:
        case "in":
            return Received(at, conn, "p", data)
        case "out":
            return Sent(at, conn, "p", data)
        case "half":
            return HalfClosed(at, conn, "p")
    return Closed(at, conn, "p", "peer_closed", 0, 0, 1.0)


def stamp(at: int) -> str:
    return datetime.fromtimestamp(at // 1_000_000_000, UTC).strftime("%H:%M:%S") + f".{at // 1_000_000 % 1000:03d}"


def run(steps: list[tuple[int, str, int, bytes]], name: str) -> tuple[str, list[Event]]:
    """What a renderer of the format shows of these steps, each so many milliseconds after the one before."""
    milliseconds, shown, events = 0, [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        renderer = make_renderer(name, clock=lambda: 1 + milliseconds / 1000)
        for pause, action, conn, data in steps:
            for _ in range(pause):
                milliseconds += 1
                if renderer.deadline is not None and renderer.deadline <= 1 + milliseconds / 1000:
                    shown += renderer.tick(1 + milliseconds / 1000, AT + milliseconds * 1_000_000)
            events.append(event_of(action, conn, data, AT + milliseconds * 1_000_000))
            shown += renderer.render(events[-1:])
        shown += renderer.render([Stopped(AT + milliseconds * 1_000_000, "signal")])
    return b"".join(shown).decode(), events


@given(STEPS)
def test_times_are_those_of_the_events_and_never_go_back(steps: list[tuple[int, str, int, bytes]]) -> None:
    text, events = run(steps, "text")
    *lines, last = text.splitlines()
    assert last.endswith("stopped: signal")
    found = [LINE.fullmatch(line) for line in lines]
    times = [match[1] for match in found if match]
    assert len(times) == len(lines)
    assert times == sorted(times)
    for match in found:
        assert match
        of_conn = {stamp(each.at) for each in events if getattr(each, "conn", 0) == int(match[2])}
        assert match[1] in of_conn


@given(STEPS)
def test_nothing_is_lost_or_turned_round(steps: list[tuple[int, str, int, bytes]]) -> None:
    text, events = run(steps, "text")
    for conn in (1, 2, 3):
        for sign, kind in ((">", Received), ("<", Sent)):
            data = b"".join(each.data for each in events if isinstance(each, kind) and each.conn == conn)
            lines = [
                match[3] for line in text.splitlines() if (match := LINE.fullmatch(line)) and int(match[2]) == conn
            ]
            assert "".join(line[2:] for line in lines if line.startswith(sign)) == data.decode().replace("\n", "")


@given(STEPS)
def test_json_has_the_same_times(steps: list[tuple[int, str, int, bytes]]) -> None:
    text, events = run(steps, "text")
    written, _ = run(steps, "json")
    assert {stamp(each.at) for each in events if isinstance(each, Payload)} >= {
        match[1] for line in text.splitlines() if (match := LINE.fullmatch(line)) and match[3][0] in "<>"
    }
    assert written.count('"event":"received"') == sum(isinstance(each, Received) for each in events)


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered_output, "MOST_BEHIND", 1000)
    renderer = make_renderer("text")
    assert renderer.render([Received(AT, 1, "p", b"unfinished")]) == []
    assert renderer.render([Received(AT, 2, "p", b"x" * 99 + b"\n")]) == []
    flood = b"".join(renderer.render([Received(AT, 2, "p", b"y" * 99 + b"\n") for _ in range(20)]))
    assert flood.count(b"\n") == 21
    assert renderer.deadline is not None
    assert b"".join(renderer.tick(renderer.deadline, AT)).endswith(b"> unfinished\n")
