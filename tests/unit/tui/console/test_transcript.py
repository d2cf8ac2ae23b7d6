"""What was said, as lines: wrapped, escaped, and no more of it held than fits."""

from typing import Any

import pytest
from unit.tui.console.fake_server import message

from portside.tui.console.transcript import MOST_BYTES, Mode, Transcript, message_lines


def page(*items: dict[str, Any], missed: int = 0) -> dict[str, Any]:
    return {"items": list(items), "missed": missed, "next": "0"}


def lines(item: dict[str, Any], mode: Mode = Mode.TEXT, width: int = 40) -> list[str]:
    transcript = Transcript()
    (made,) = transcript.add(page(item))
    return [line.head + line.text for line in message_lines(made, mode, width)]


def test_lines_of_text() -> None:
    assert lines(message(1, "one\ntwo\n")) == ["12:00:01.001 > one", " " * 15 + "two"]
    assert lines(message(1, "no end", direction="out")) == ["12:00:01.001 < no end"]
    assert lines(message(1, "\n\n")) == ["12:00:01.001 > ", " " * 15]


def test_long_lines_take_several() -> None:
    assert lines(message(1, "x" * 50 + "\n")) == ["12:00:01.001 > " + "x" * 25, " " * 15 + "x" * 25]
    wide = lines(message(1, "世" * 20 + "\n"))
    assert [len(line) for line in wide] == [15 + 12, 15 + 8]


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("text", ["\x1b[31m", "\u202e", "\x00\x07\r", "a\tb", "\x85", "\u200b"])
def test_no_line_has_what_a_terminal_would_act_on(mode: Mode, text: str) -> None:
    for line in lines(message(1, text), mode):
        assert line.isprintable()


def test_hex() -> None:
    assert lines(message(1, "hello\n"), Mode.HEX, 80) == [
        "12:00:01.001 > 6 B",
        "00000000  68 65 6c 6c 6f 0a                                 |hello.|",
    ]
    assert lines(message(1, "hello\n"), Mode.BOTH, 80)[0] == "12:00:01.001 > hello"


def test_base64_and_half_a_character() -> None:
    half = {"seq": 1, "at": "2026-11-22T12:00:01.001234Z", "direction": "in", "size": 2, "base64": "4oI="}
    assert lines(half) == [r"12:00:01.001 > \xe2\x82"]


def test_no_more_is_held_than_fits() -> None:
    transcript = Transcript()
    for number in range(1, 41):
        transcript.add(page(message(number, "x" * 65536)))
    assert transcript.size <= MOST_BYTES
    assert transcript.messages[-1].seq == 40
    assert transcript.dropped == 40 - len(transcript.messages)
    transcript.add(page(message(41, "y" * (3 * MOST_BYTES))))  # one that is larger is shown all the same
    assert [each.seq for each in transcript.messages] == [41]


def test_what_was_missed_is_said_in_its_place() -> None:
    transcript = Transcript()
    transcript.add(page(message(1, "a")))
    transcript.add(page(message(9, "b"), missed=7))
    assert [each.remark or each.data.decode() for each in transcript.messages] == [
        "a",
        "7 messages not held any more",
        "b",
    ]
    assert [line.text for line in message_lines(transcript.messages[1], Mode.HEX, 80)] == [
        "-- 7 messages not held any more"
    ]
